package mcp

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func TestLineReader(t *testing.T) {
	long := strings.Repeat("x", 20<<10) // more than the reader's buffer
	for name, c := range map[string]struct {
		text  string
		limit int
		want  []string
	}{
		"none":              {"", 8, nil},
		"lines":             {"{}\n[]\n", 8, []string{"{}", "[]"}},
		"CRLF":              {"{}\r\n[]\r\n", 8, []string{"{}", "[]"}},
		"CR alone":          {"{}\r[]\n", 8, []string{"{}\r[]"}},
		"empty ones":        {"\n\r\n \t\n{}\n\n", 8, []string{"{}"}},
		"not whole":         {"{}\n{", 8, []string{"{}"}},
		"at the limit":      {"12345678\n", 8, []string{"12345678"}},
		"at it with CRLF":   {"12345678\r\n", 8, []string{"12345678"}},
		"over the limit":    {"123456789\n{}\n", 8, []string{"too long", "{}"}},
		"over the buffer":   {long + "\n{}\n", 8, []string{"too long", "{}"}},
		"longer than a buf": {long + "\n{}\n", len(long), []string{long, "{}"}},
		"over at the end":   {"{}\n" + long, 8, []string{"{}", "too long"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(c.text), iotest.OneByteReader(strings.NewReader(c.text))} {
				var got []string
				lines := NewLineReader(r, c.limit)
				for {
					line, err := lines.Next()
					if errors.Is(err, io.EOF) {
						break
					}
					if errors.Is(err, ErrTooLong) {
						line = "too long"
					} else if err != nil {
						t.Fatal(err)
					}
					got = append(got, line)
				}
				if d := cmp.Diff(c.want, got); d != "" {
					t.Error(d)
				}
			}
		})
	}
}

// A line that does not end is told as too long at once, and then that it does not end.
func TestEndlessLine(t *testing.T) {
	lines := NewLineReader(io.MultiReader(strings.NewReader("{}\n"), endless{}), 8)
	for _, want := range []error{nil, ErrTooLong, ErrEndless, ErrEndless} {
		if _, err := lines.Next(); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

// FuzzLineReader: whatever is read, lines of at most the limit come out of it,
// and they are the text's own.
func FuzzLineReader(f *testing.F) {
	f.Add("{}\n\n[]\r\n", 4)
	f.Add("123456789\n{}", 8)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		limit = max(0, min(limit, 1<<16))
		lines := NewLineReader(strings.NewReader(text), limit)
		var want []string
		all := strings.Split(text, "\n")
		for _, line := range all[:len(all)-1] {
			line = strings.TrimSuffix(line, "\r")
			if len(line) > limit {
				want = append(want, ErrTooLong.Error())
			} else if strings.TrimSpace(line) != "" {
				want = append(want, line)
			}
		}
		if len(all[len(all)-1]) > limit+len("\r\n") {
			want = append(want, ErrTooLong.Error())
		}
		for _, w := range want {
			got, err := lines.Next()
			if err != nil {
				got = err.Error()
			}
			if got != w {
				t.Fatalf("got %q, want %q", got, w)
			}
		}
		if _, err := lines.Next(); !errors.Is(err, io.EOF) {
			t.Fatalf("more than the text holds: %v", err)
		}
	})
}
