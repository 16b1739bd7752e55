"""How the page of an approval looks: in light and dark, on paper, on a telephone."""

import base64
from hashlib import sha256

# The colours of the console (docs: platform/web); each meets WCAG 2.2 AA where it is used.
STYLE = """
:root{color-scheme:light dark;--canvas:#f7f7f8;--surface:#fff;--raised:#f1f1f3;--line:#e3e3e8;
--border:#8b8b98;--text:#17171c;--muted:#5a5a68;--accent:#5746d6;--strong:#17171c;--on-strong:#fff;
--wait:#9a5b00;--wait-tint:#fdf3e0;--bad:#c42b2b;--bad-tint:#fdecec;--good:#137a38}
@media(prefers-color-scheme:dark){:root{--canvas:#0b0b0e;--surface:#16161a;--raised:#1f1f25;
--line:#2a2a32;--border:#6c6c7a;--text:#ededf2;--muted:#a3a3b2;--accent:#a99cff;--strong:#ededf2;
--on-strong:#17171c;--wait:#f0b24a;--wait-tint:#2c210d;--bad:#ff7b7b;--bad-tint:#331416;
--good:#4cc27a}}
*{box-sizing:border-box}
body{margin:0;background:var(--canvas);color:var(--text);-webkit-text-size-adjust:100%;
font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:42rem;margin:0 auto;padding:3rem 1rem 4rem}
header{display:flex;align-items:center;gap:.5rem;margin:0 .25rem 1rem;color:var(--muted);
font-size:.875rem;font-weight:500}
header svg,.state svg,.mark{flex:none;fill:none;stroke:currentColor;stroke-width:2;
stroke-linecap:round;stroke-linejoin:round}
.card{background:var(--surface);border:1px solid var(--line);border-radius:14px;overflow:hidden}
.part{padding:1.5rem 2rem}
.part+.part{border-top:1px solid var(--line)}
.state{display:inline-flex;align-items:center;gap:.4rem;margin:0 0 .75rem;padding:.125rem .625rem;
border-radius:99px;background:var(--wait-tint);color:var(--wait);font-size:.8125rem;font-weight:600}
h1{margin:0;font-size:1.75rem;line-height:1.2;font-weight:600;letter-spacing:-.01em;
overflow-wrap:anywhere;text-wrap:balance}
.from{margin:.5rem 0 0;color:var(--muted)}
h2{margin:0 0 .75rem;font-size:1rem;font-weight:600}
.show{overflow-wrap:anywhere}
.show>:first-child{margin-top:0}
dl{margin:0;display:grid;grid-template-columns:minmax(6rem,auto) 1fr;gap:.5rem 1.5rem}
dt{color:var(--muted)}
dd{margin:0;min-width:0}
dl dl{grid-template-columns:minmax(4rem,auto) 1fr;padding-left:.75rem;
border-left:2px solid var(--line)}
.show ul,.show ol{margin:0;padding-left:1.2rem}
.long{white-space:pre-wrap;background:var(--raised);border-radius:10px;padding:.75rem 1rem;
max-height:26rem;overflow:auto}
dt.above{grid-column:1/-1;margin-top:.25rem}
dd.below{grid-column:1/-1}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.875rem;font-variant-numeric:tabular-nums}
th,td{text-align:left;vertical-align:top;padding:.5rem 1rem .5rem 0;
border-bottom:1px solid var(--line)}
th{color:var(--muted);font-weight:500}
pre{margin:0;white-space:pre-wrap;overflow-wrap:anywhere;font:.8125rem/1.5 ui-monospace,
SFMono-Regular,Menlo,Consolas,monospace}
.none{color:var(--muted)}
.field{margin-top:1.25rem}
.field:first-of-type{margin-top:0}
label{display:block;font-weight:500}
.optional{font-weight:400;color:var(--muted);font-size:.875rem}
.hint{margin:.125rem 0 0;color:var(--muted);font-size:.875rem}
input,select,textarea{display:block;width:100%;min-height:2.75rem;margin-top:.375rem;font:inherit;
color:inherit;background:var(--surface);border:1px solid var(--border);border-radius:6px;
padding:.5rem .75rem}
textarea{min-height:6rem;resize:vertical}
input[type=number],input[type=date],select{max-width:18rem}
.check{display:flex;align-items:center;gap:.75rem;min-height:2.75rem}
.check input{width:1.25rem;height:1.25rem;min-height:0;margin:0;accent-color:var(--accent)}
[aria-invalid=true]{border-color:var(--bad);outline:1px solid var(--bad)}
.wrong{margin:.375rem 0 0;color:var(--bad);font-size:.875rem;font-weight:500}
.alert{margin:0 0 1.25rem;padding:.75rem 1rem;border-radius:10px;background:var(--bad-tint);
color:var(--bad)}
.alert a{color:inherit}
.actions{display:flex;flex-wrap:wrap;gap:.75rem}
.actions:not(:first-child){margin-top:1.75rem}
button{font:inherit;font-weight:600;min-height:2.75rem;padding:.5rem 1.5rem;border-radius:8px;
cursor:pointer;border:1px solid var(--border);background:var(--surface);color:inherit;
transition:background-color .12s ease-out}
button:hover{background:var(--raised)}
button.first{background:var(--strong);border-color:var(--strong);color:var(--on-strong)}
button.first:hover{opacity:.88}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
footer{margin:1rem .25rem 0;color:var(--muted);font-size:.875rem}
footer p{margin:.25rem 0}
.said{text-align:center;padding:3rem 2rem}
.said h1{margin-top:1rem}
.said p{margin:.75rem auto 0;max-width:28rem;color:var(--muted)}
.mark{color:var(--muted)}
.mark.good{color:var(--good)}
@media(max-width:34rem){main{padding:1.25rem .75rem 3rem}.part{padding:1.25rem}
h1{font-size:1.5rem}dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.75rem}
dl dl{grid-template-columns:1fr}.actions{flex-direction:column}
input[type=number],input[type=date],select{max-width:none}}
@media(prefers-reduced-motion:reduce){*{transition:none!important}}
@media(forced-colors:active){button.first{border-width:3px}}
@media print{.actions{display:none}.card{border:0}}
"""
_DIGEST = base64.b64encode(sha256(STYLE.encode()).digest()).decode()
PAGE_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; form-action 'self';"
    " frame-ancestors 'none'; base-uri 'none'"
)
"""No script, nothing from elsewhere, and no style but this one."""
