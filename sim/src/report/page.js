"use strict";
(() => {
  const main = document.querySelector("main"), sheet = document.querySelector(".sheet");
  const name = 130, all = parseFloat(sheet.style.getPropertyValue("--all"));
  const ticks = [...sheet.querySelectorAll(".tick")];
  let zoom = 1;
  // Keeps the moment under `at` (pixels from the left of the window) where it is.
  const set = (value, at = main.clientWidth / 2) => {
    const x = (main.scrollLeft + at - name) / zoom;
    zoom = Math.min(400, Math.max((main.clientWidth - name - 20) / all * 0.9, value));
    sheet.style.setProperty("--z", zoom);
    main.scrollLeft = x * zoom + name - at;
    let last = -Infinity;
    for (const tick of ticks) {
      const x = parseFloat(tick.style.getPropertyValue("--x")) * zoom;
      const crowded = x - last < 78;
      tick.classList.toggle("crowded", crowded);
      if (!crowded) last = x;
    }
  };
  const show = (from, to) => {
    set((main.clientWidth - name) * 0.6 / Math.max(to - from, 0.05));
    main.scrollLeft = (from + to) / 2 * zoom - (main.clientWidth - name) / 2;
  };
  const focus = () => show(parseFloat(sheet.dataset.from), parseFloat(sheet.dataset.to));
  document.querySelector("nav").addEventListener("click", event => {
    const { zoom: by, all: whole, focus: finding } = event.target.dataset;
    if (by) set(zoom * parseFloat(by));
    if (whole) set(0);
    if (finding) focus();
  });
  main.addEventListener("wheel", event => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    set(zoom * Math.exp(-event.deltaY / 300), event.clientX - main.getBoundingClientRect().left);
  }, { passive: false });
  // A link leads to its bar: as wide as can be seen, in the middle, and it pulses.
  document.addEventListener("click", event => {
    const link = event.target.closest("a[href^='#']");
    const bar = link && document.getElementById(link.getAttribute("href").slice(1));
    if (!bar) return;
    event.preventDefault();
    const x = parseFloat(bar.style.getPropertyValue("--x")), w = parseFloat(bar.style.getPropertyValue("--w")) || 0;
    if (w * zoom < 60 && w > 0) set(60 / w);
    if (w * zoom > main.clientWidth * 0.8) set(main.clientWidth * 0.6 / w);
    bar.scrollIntoView({ block: "center", inline: "nearest" });
    main.scrollLeft = (x + w / 2) * zoom - (main.clientWidth - name) / 2;
    bar.classList.add("target");
    setTimeout(() => bar.classList.remove("target"), 3600);
  });
  // Tooltips that come at once.
  const tip = document.body.appendChild(document.createElement("div"));
  tip.id = "tip";
  document.addEventListener("mouseover", event => {
    const over = event.target.closest("[title],[data-tip]");
    if (over && over.title) { over.dataset.tip = over.title; over.removeAttribute("title"); }
    tip.textContent = over ? over.dataset.tip : "";
    tip.style.display = over ? "block" : "none";
  });
  document.addEventListener("mousemove", event => {
    tip.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)) + "px";
    tip.style.top = Math.max(4, Math.min(event.clientY + 16, innerHeight - tip.offsetHeight - 8)) + "px";
  });
  focus();
})();
