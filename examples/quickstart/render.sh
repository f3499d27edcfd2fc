#!/bin/sh
# Renders the picture that the quickstart reads. Needs ImageMagick 6 or 7 (`convert`) and DejaVu Sans, a free font
# (Debian and Ubuntu: `apt-get install imagemagick fonts-dejavu-core`). The text is what main.ts expects.
set -eu
cd "$(dirname "$0")"
font=$(fc-match -f '%{file}' 'DejaVu Sans:style=Book')
convert -background '#f4f1e8' -fill '#23262b' -font "$font" -pointsize 40 \
  label:'Tenon compiles neural networks 2026' \
  -bordercolor '#f4f1e8' -border 16x6 -depth 8 -strip PNG24:line.png
