#!/bin/sh
# Makes sample.mkv, the film of `hostler transcode test`. Needs ffmpeg; run it in this folder.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '1\n00:00:01,000 --> 00:00:09,000\nThis is a test of hostler.\n\n2\n00:00:10,000 --> 00:00:19,000\nIt may be deleted.\n' > "$work/text.srt"
{
    printf ';FFMETADATA1\n'
    for start in 0 7 14; do
        printf '[CHAPTER]\nTIMEBASE=1/1\nSTART=%s\nEND=%s\ntitle=From %s s\n' "$start" "$((start + 6))" "$start"
    done
} > "$work/chapters"
ffmpeg -hide_banner -loglevel error -nostdin -y -f lavfi -i testsrc2=size=320x180:rate=25:duration=20 -f lavfi -i sine=330:duration=20 \
    -i "$work/text.srt" -f ffmetadata -i "$work/chapters" -map 0 -map 1 -map 2 -map_metadata 3 -map_chapters 3 -fflags +bitexact \
    -c:v libx264 -preset veryslow -crf 40 -g 250 -c:a ac3 -b:a 32k -c:s srt -metadata:s:a:0 language=eng -metadata:s:s:0 language=eng sample.mkv
