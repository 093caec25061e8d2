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

// A figure as PNG, three times its size on the page; a page opened from a file may not read its own pictures.
(function () {
  function save(image, name) {
    var sheet = document.createElement("canvas");
    sheet.width = 3 * image.naturalWidth;
    sheet.height = 3 * image.naturalHeight;
    sheet.getContext("2d").drawImage(image, 0, 0, sheet.width, sheet.height);
    sheet.toBlob(function (content) {
      var link = document.createElement("a");
      link.href = URL.createObjectURL(content);
      link.download = name;
      link.click();
      setTimeout(function () { URL.revokeObjectURL(link.href); }, 60000);  // some browsers read it later
    }, "image/png");
  }
  document.addEventListener("DOMContentLoaded", function () {
    if (location.protocol === "file:") return;
    var images = Array.from(document.querySelectorAll("img.ev-figure"));
    document.querySelectorAll("button.ev-png").forEach(function (button) {
      var before = images.filter(function (image) {
        return image.compareDocumentPosition(button) & Node.DOCUMENT_POSITION_FOLLOWING;
      });
      if (!before.length) return;
      button.hidden = false;
      button.addEventListener("click", function () { save(before[before.length - 1], button.value); });
    });
  });
})();
