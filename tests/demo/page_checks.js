// Drives the page in a real browser and leaves what it saw as JSON in the document.

import { coverageWritten } from "/demo/static/coverage.js";
import { markdown } from "/demo/static/markdown.js";

const seen = {};

async function until(holds) {
  for (let tries = 0; tries < 200; tries += 1) {
    const found = holds();
    if (found) return found;
    await new Promise((done) => setTimeout(done, 25));
  }
  throw new Error(`waited in vain for ${holds}`);
}

const one = (selector) => document.querySelector(selector);
const text = (selector) => one(selector)?.textContent ?? "";
const button = (label) => [...document.querySelectorAll("button")].find((found) => found.textContent.includes(label));

function checkMarkdown() {
  const box = document.createElement("div");
  box.append(markdown([
    "## Title", "Some **bold** and *soft* text", "", "- one", "  - inner", "- two", "",
    "| a | b |", "|---|---|", "| 1 | x \\| y |", "", "<img src=x onerror=alert(1)>",
    "[good](https://example.org/) [bad](javascript:alert(1))",
  ].join("\n")));
  seen.markdown = {
    heading: box.querySelector("h5")?.textContent,
    bold: box.querySelector("strong")?.textContent,
    nested: box.querySelector("li li")?.textContent,
    cells: [...box.querySelectorAll("td")].map((cell) => cell.textContent),
    images: box.querySelectorAll("img").length,
    links: [...box.querySelectorAll("a")].map((link) => link.href),
  };
}

function checkCoverage() {
  const url = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information";
  const [shown] = coverageWritten({ extension: [{ url, extension: [
    { url: "covered", valueCode: "covered" }, { url: "pa-needed", valueCode: "satisfied" },
    { url: "satisfied-pa-id", valueString: "PA-1" }, { url: "expiry-date", valueDate: "2027-05-24" },
  ] }] });
  seen.coverage = shown.textContent;
}

async function checkPage() {
  const html = await (await fetch("/demo")).text();
  document.body.replaceChildren(...new DOMParser().parseFromString(html, "text/html").body.childNodes);
  location.hash = "#demo-one-day-late";
  await import("/demo/static/app.js");
  await until(() => text("#results").includes("Platelet count"));
  seen.patient = text("#patient-name");
  seen.results = text("#results");

  one("#prefetch").value = "all";
  one("#sign").click();
  await until(() => one(".card"));
  seen.firstCard = text(".card h3");
  seen.cardImages = document.querySelectorAll(".card img").length;
  seen.written = text("#coverage-information");

  button("Order a platelet count").click();
  await until(() => text("#orders").includes("Platelet count"));
  seen.orders = text("#orders");

  one("#test").value = "platelets";
  one("#test").dispatchEvent(new Event("change"));
  one("#number").value = "198.50";
  one("#add-result").requestSubmit();
  await until(() => text("#results").includes("198.50"));
  one("#sign").click();
  await until(() => text(".card h3").includes("All criteria"));
  seen.secondCard = text(".card h3");

  one("#reset").click();
  await until(() => text("#results").includes("Platelet count") && !text("#results").includes("198.50"));
  seen.afterReset = text("#orders");

  location.hash = "#demo-results-unreadable";
  await until(() => text("#patient-name").startsWith("Laurel"));
  await until(() => text("#results").includes("could not be loaded"));
  seen.unreadable = text("#results");
}

async function run() {
  try {
    checkMarkdown();
    checkCoverage();
    await checkPage();
  } catch (error) {
    seen.error = String(error.stack ?? error);
  }
  const kept = document.createElement("pre");
  kept.id = "seen";
  kept.textContent = btoa(unescape(encodeURIComponent(JSON.stringify(seen))));
  document.body.append(kept);
}

run();
