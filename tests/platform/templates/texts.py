"""Small templates for tests."""

GREET = """\
treadle: 1
name: {name}
version: {version}
title: Greet
labels: [demo]
inputs:
  who: {{type: string, default: world}}
  loud: {{type: boolean, optional: true}}
nodes:
  greet:
    use: set
    with: {{text: "Hello ${{{{ inputs.who }}}}"}}   # {note}
outputs:
  text: ${{{{ greet.text }}}}
triggers:
  - {{use: schedule, cron: "0 7 * * 1", timezone: Europe/Berlin}}
"""

FETCH = """\
treadle: 1
name: {name}
version: 1.0.0
connections:
  crm: {{type: http}}
  mail: {{type: http, optional: true}}
nodes:
  hello: {{use: set, with: {{a: 1}}}}
outputs: {{a: "${{{{ hello.a }}}}"}}
"""


def greet(name: str = "greet", version: str = "1.0.0", note: str = "") -> str:
    return GREET.format(name=name, version=version, note=note)


def fetch(name: str = "fetch") -> str:
    return FETCH.format(name=name)
