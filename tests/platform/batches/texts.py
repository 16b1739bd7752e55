"""A template that takes rows."""

SHOUT = """\
treadle: 1
name: shout
version: 1.0.0
inputs:
  text: {type: string}
  times: {type: integer, default: 1, minimum: 1}
  tags: {type: array, items: {type: string}, optional: true}
nodes:
  loud:
    use: set
    with: {text: "${{ inputs.text | upper }}", share: "${{ 10 / (inputs.times - 7) }}"}
outputs: {text: "${{ loud.text }}", tags: "${{ inputs.tags }}"}
"""
