// The plan's cards as this record system shows them.

import { element, link } from "./dom.js";
import { markdown } from "./markdown.js";

const INDICATORS = { info: "For information", warning: "Needs attention", critical: "Urgent" };

const LONG = 8; // entries

// `act` is what happens on a click: accept(card, suggestion), override(card, reason), open(link) gives a URL.
export function card(one, act) {
  const indicator = one.indicator in INDICATORS ? one.indicator : "info";
  const title = element("h3", {}, one.summary ?? "");
  const shown = element(
    "article",
    { class: `card ${indicator}` },
    element("p", { class: "indicator" }, INDICATORS[indicator]),
    title,
    one.detail ? folded(element("div", { class: "detail" }, markdown(one.detail))) : null,
    links(one, act),
    suggestions(one, act),
    overrides(one, act),
    element("p", { class: "source quiet" }, "From ", source(one.source)),
  );
  return shown;
}

// A list that would push the rest off the screen is one click away, under the title that it has.
function folded(detail) {
  for (const list of detail.querySelectorAll(":scope > ul")) {
    const title = list.previousElementSibling;
    if (list.children.length <= LONG || !title) continue;
    const summary = element("summary", {}, `${title.textContent} (${list.children.length})`);
    title.remove();
    list.replaceWith(element("details", {}, summary, list.cloneNode(true)));
  }
  return detail;
}

function source(given) {
  const label = given?.label ?? "the plan";
  return given?.url ? link(given.url, label) : label;
}

function links(one, act) {
  if (!one.links?.length) return null;
  const items = one.links.map((given) => {
    const isForm = given.type === "smart";
    return element("li", {}, link(isForm ? act.launch(given) : given.url, given.label, isForm ? { class: "button primary launch" } : {}),
      isForm ? element("span", { class: "quiet" }, " opens with this patient and order") : null);
  });
  return element("ul", { class: "links" }, items);
}

function suggestions(one, act) {
  if (!one.suggestions?.length) return null;
  const onlyOne = one.selectionBehavior === "at-most-one";
  const box = element("div", { class: "suggestions" });
  for (const suggestion of one.suggestions) {
    const state = element("span", { class: "quiet", role: "status" });
    const button = element("button", { type: "button" }, suggestion.label);
    button.addEventListener("click", async () => {
      const others = onlyOne ? [...box.querySelectorAll("button")] : [button];
      for (const other of others) other.disabled = true;
      const failed = await act.accept(one, suggestion);
      if (failed) for (const other of others) other.disabled = false;
      else {
        button.classList.add("accepted");
        button.textContent = `✓ ${suggestion.label}`;
      }
      state.textContent = failed ? ` ${failed}` : " Accepted";
    });
    const actions = (suggestion.actions ?? []).map((action) => element("li", {}, action.description ?? action.type));
    box.append(
      element(
        "div",
        { class: "suggestion" },
        element("p", {}, button, suggestion.isRecommended ? element("span", { class: "badge" }, "recommended") : null, state),
        actions.length ? element("ul", { class: "quiet" }, actions) : null,
      ),
    );
  }
  return box;
}

function overrides(one, act) {
  if (!one.overrideReasons?.length) return null;
  const id = `override-${one.uuid ?? Math.random()}`;
  const choice = element("select", { id },
    one.overrideReasons.map((reason, place) => element("option", { value: place }, reason.display ?? reason.code)));
  const button = element("button", { type: "button" }, "Set aside");
  button.addEventListener("click", async () => {
    button.disabled = true;
    choice.disabled = true;
    await act.override(one, one.overrideReasons[Number(choice.value)]);
    button.textContent = "✓ Set aside";
  });
  return element("p", { class: "field override" },
    element("label", { for: id }, "Not following this, because"), choice, button);
}
