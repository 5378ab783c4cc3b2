// A button that prints, for a frame of a record system that has no menu.
document.documentElement.classList.add("js");
document.getElementById("print").addEventListener("click", () => print());
