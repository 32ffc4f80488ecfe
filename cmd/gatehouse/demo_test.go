package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestDemo(t *testing.T) {
	var out, errs bytes.Buffer
	if err := run(t.Context(), []string{"demo", "--exit", "--listen", "127.0.0.1:0"}, &out, &errs); err != nil {
		t.Fatalf("%v\n%s%s", err, &out, &errs)
	}
	if text := out.String(); !strings.Contains(text, "\nAll five stories went as told.\n") || strings.Contains(text, "\x1b[3") {
		t.Errorf("demo printed:\n%s", text)
	}
}

func TestDemoTellsOfAStoryThatFails(t *testing.T) {
	var out bytes.Buffer
	nowhere := &stage{url: "http://127.0.0.1:1/mcp"}
	err := tellAll(t.Context(), newPrinter(&out), []story{{"one", nowhere, nil}, {"two", nowhere, nil}})
	if err == nil || err.Error() != "2 of 2 stories failed" || strings.Count(out.String(), "FAILED") != 2 {
		t.Errorf("error %v, printed:\n%s", err, &out)
	}
}
