// Light and dark: the reader's choice is kept; without one, the system decides (report.css).
(function () {
  var root = document.documentElement;
  function kept() {
    try { return localStorage.getItem("report-mode"); } catch (error) { return null; }
  }
  function dark() {
    return root.dataset.mode
      ? root.dataset.mode === "dark"
      : window.matchMedia("(prefers-color-scheme: dark)").matches;
  }
  var chosen = kept();
  if (chosen === "light" || chosen === "dark") root.dataset.mode = chosen;
  document.addEventListener("DOMContentLoaded", function () {
    var button = document.getElementById("mode");
    button.hidden = false;
    button.setAttribute("aria-pressed", String(dark()));
    button.addEventListener("click", function () {
      root.dataset.mode = dark() ? "light" : "dark";
      button.setAttribute("aria-pressed", String(dark()));
      try { localStorage.setItem("report-mode", root.dataset.mode); } catch (error) { /* private */ }
    });
  });
})();
