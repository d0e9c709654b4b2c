import { hues } from "./palette.ts";

const hueNames = (scheme: "light" | "dark"): string =>
  hues.map((hue, i) => `--hue${i}:${hue[scheme]};`).join("");

const light = `--paper:#fff;--ink:#1b1f24;--soft:#5a6470;--line:#d5dae0;--wash:#f4f6f8;` +
  `--accent:#0b62a8;--bad:#b3261e;${hueNames("light")}`;
const dark = `--paper:#14181d;--ink:#e6eaef;--soft:#9aa6b2;--line:#343c45;--wash:#1d232a;` +
  `--accent:#62b0f0;--bad:#ff8a80;${hueNames("dark")}`;

/** The report's style sheet. */
export const styles = `
:root{color-scheme:light dark;${light}}
@media (prefers-color-scheme:dark){:root{${dark}}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1080px;padding:1.5rem 1.25rem 4rem;background:var(--paper);
color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:1.7rem;line-height:1.2;margin:0 0 .25rem;text-wrap:balance}
h2{font-size:1.25rem;margin:2.75rem 0 .75rem;padding-bottom:.3rem;border-bottom:1px solid var(--line)}
h3{font-size:1rem;margin:1rem 0 .35rem}
h4{font-size:.85rem;margin:0;font-weight:600}
a{color:var(--accent)}
nav{display:flex;flex-wrap:wrap;gap:.25rem 1rem;margin:.75rem 0 0;font-size:.9rem}
.lead{margin:0;color:var(--soft)}
.note,figcaption{color:var(--soft);font-size:.85rem;max-width:75ch;margin:.5rem 0}
.notes{padding-left:1.1rem}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
figure{margin:0}
svg{display:block;width:100%;height:auto;overflow:visible;font-family:inherit;color:var(--ink)}
svg text{white-space:pre}
svg .label{paint-order:stroke;stroke:var(--paper);stroke-width:4px;stroke-linejoin:round;
font-weight:500}
svg [aria-label$="grid"]{stroke:var(--line)!important;stroke-opacity:1!important}
.narrow{display:none}
.near{stroke:var(--ink)!important;stroke-opacity:1!important}
path.near[fill=none],[fill=none]>path.near{stroke-width:3.5!important}
.panels,.costs,.matrices{display:grid;gap:1rem 1.5rem}
.panels{grid-template-columns:repeat(auto-fill,minmax(270px,1fr))}
.costs{grid-template-columns:repeat(auto-fill,minmax(230px,1fr))}
.matrices{display:flex;flex-wrap:wrap;align-items:end}
.key{display:flex;flex-wrap:wrap;gap:0 .9rem;margin:0 0 .35rem;font-size:.8rem;color:var(--soft)}
.key i{display:inline-block;width:.8em;height:.8em;margin-right:.35em}
table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums}
caption{text-align:left;font-weight:600;padding:.25rem 0}
th,td{padding:.35rem .55rem;text-align:left;border-bottom:1px solid var(--line);vertical-align:top}
thead th{vertical-align:bottom;font-weight:600}
.num{text-align:right}
.scroll{overflow-x:auto;max-height:85vh}
#results{white-space:nowrap;border-collapse:separate;border-spacing:0}
#results thead th{position:sticky;top:0;z-index:2;background:var(--wash);padding:0;
white-space:normal;min-width:4.6rem}
#results th:first-child{position:sticky;left:0;z-index:1;background:var(--paper);
white-space:normal;min-width:8.5rem;max-width:16rem;font-weight:500}
#results thead th:first-child{z-index:3;background:var(--wash)}
#results tbody th{border-left:4px solid var(--own)}
#results button{all:unset;box-sizing:border-box;display:block;width:100%;padding:.4rem .55rem;
cursor:pointer;color:inherit;line-height:1.25}
#results button:focus-visible{outline:2px solid var(--accent);outline-offset:-2px}
#results button::after{content:"↕";color:var(--soft);opacity:.55;margin-left:.3em}
#results [aria-sort=ascending] button::after{content:"↑";opacity:1;color:var(--accent)}
#results [aria-sort=descending] button::after{content:"↓";opacity:1;color:var(--accent)}
#results tbody tr:hover>*{background:var(--wash)}
.failed{color:var(--bad);font-weight:600}
.filter{display:flex;flex-wrap:wrap;gap:.4rem 1rem;align-items:center;margin:0 0 .6rem;font-size:.9rem}
.filter[hidden]{display:none}
.filter input{font:inherit;padding:.3rem .5rem;border:1px solid var(--soft);border-radius:5px;
background:var(--paper);color:inherit}
.filter output{color:var(--soft)}
.matrix td,.matrix th{text-align:center;border:1px solid var(--line)}
.matrix small{display:block;color:var(--soft);font-size:.75em}
.matrix td{color:var(--ink)}.matrix td small{color:inherit;opacity:.85}
.hard .text{min-width:16rem;max-width:30rem}
.hard .err{text-align:center;min-width:2.4rem;border-left:1px solid var(--line)}
.slant{height:10.5rem;vertical-align:bottom;padding:.35rem .2rem}
.slant span{writing-mode:vertical-rl;transform:rotate(180deg);max-height:10rem;font-weight:500;
line-height:1.15;text-align:left}
.facts{width:100%}
.facts th{font-weight:500;color:var(--soft);white-space:nowrap}
.facts td{overflow-wrap:anywhere;max-width:40rem}
.facts code{font-size:.95em}
details{margin:.75rem 0}
summary{cursor:pointer}
#tip{position:fixed;z-index:9;pointer-events:none;max-width:min(22rem,90vw);padding:.3rem .55rem;
border:1px solid var(--soft);border-radius:5px;background:var(--paper);color:var(--ink);
font-size:.82rem;box-shadow:0 2px 8px rgb(0 0 0/.2)}
@media (max-width:640px){
body{padding:1rem .9rem 3rem}
.wide{display:none}.narrow{display:block}
.facts th{white-space:normal;overflow-wrap:anywhere}
#results th:first-child{min-width:7rem;max-width:8.5rem}
}
@page wide{size:landscape}
@media print{
:root{color-scheme:light;${light}}
body{max-width:none;padding:0;font-size:10pt}
nav,.filter,#tip,button::after{display:none!important}
.scroll{overflow:visible;max-height:none}
#table{page:wide}
#results{font-size:6pt}
#results th,#results td{padding:.1rem .22rem}
#results thead th,#results th:first-child{min-width:0;position:static}
#results button{padding:.1rem .22rem}
#results button::after{content:""}
h2{break-after:avoid}figure,.panel,.matrix,tr{break-inside:avoid}
*{print-color-adjust:exact}
}`;
