package mcp

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// read reads all events, and the error that ended them unless it is io.EOF.
func read(r io.Reader, limit int) ([]Event, error) {
	var all []Event
	for e := NewEventReader(r, limit); ; {
		ev, err := e.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, ev)
	}
}

func TestEventReader(t *testing.T) {
	t.Parallel()
	alive := Event{}
	for _, c := range []struct {
		name, stream string
		want         []Event
	}{
		{"LF", "data: a\n\ndata: b\n\n", []Event{{Data: "a"}, {Data: "b"}}},
		{"CR", "data: a\r\rdata: b\r\r", []Event{{Data: "a"}, {Data: "b"}}},
		{"CRLF", "data: a\r\n\r\ndata: b\r\n\r\n", []Event{{Data: "a"}, {Data: "b"}}},
		{"mixed line ends", "data: a\r\ndata: b\rdata: c\n\r\n", []Event{{Data: "a\nb\nc"}}},
		{"CR between two data lines", "data: a\rdata: b\n\n", []Event{{Data: "a\nb"}}},
		{"LF CR is two line ends", "data: a\n\rdata: b\n\r", []Event{{Data: "a"}, {Data: "b"}}},
		{"two documents", "data: {}\ndata: {}\n\n", []Event{{Data: "{}\n{}"}}},
		{"unterminated", "data: a\n\ndata: b\n", []Event{{Data: "a"}}},
		{"unterminated line", "data: a\n\ndata: b", []Event{{Data: "a"}}},
		{"byte order mark", "\ufeffdata: a\n\n", []Event{{Data: "a"}}},
		{"second byte order mark", "\ufeff\ufeffdata: a\n\n", nil},
		{"later byte order mark", "data: a\n\n\ufeffdata: b\n\n", []Event{{Data: "a"}}},
		{"half a byte order mark", "\xef\xbbdata: a\n\ndata: b\n\n", []Event{{Data: "b"}}},
		{"one space goes", "data:  a \n\n", []Event{{Data: " a "}}},
		{"no space", "data:a\n\n", []Event{{Data: "a"}}},
		{"tab stays", "data:\ta\n\n", []Event{{Data: "\ta"}}},
		{"no colon", "data\n\n", []Event{alive}},
		{"no colon twice", "data\ndata\n\n", []Event{{Data: "\n"}}},
		{"empty data", "data:\n\n", []Event{alive}},
		{"name", "event: ping\ndata: a\n\n", []Event{{Name: "ping", Data: "a"}}},
		{"name of an event without data", "event: ping\n\ndata: a\n\n", []Event{{Data: "a"}}},
		{"last name", "event: a\nevent: b\ndata: x\n\n", []Event{{Name: "b", Data: "x"}}},
		{"other fields", "id: 7\nDATA: x\n data: y\ndatax: z\ndata: a\n\n", []Event{{Data: "a"}}},
		{"comment", ": alive\n\n", []Event{alive}},
		{"comment within an event", "data: a\n:x\ndata: b\n\n", []Event{{Data: "a\nb"}}},
		{"retry", "retry: 1000\n\n", []Event{{Retry: "1000"}}},
		{"retry with data", "retry: 10\ndata: a\n\n", []Event{{Data: "a", Retry: "10"}}},
		{"retry of text", "retry: 10s\ndata: a\n\n", []Event{{Data: "a"}}},
		{"retry with a sign", "retry: -1\n\n", nil},
		{"retry too long", "retry: 1234567890\n\n", nil},
		{"other separators are text", "data: a\u2028\u0085\v\fb\n\n", []Event{{Data: "a\u2028\u0085\v\fb"}}},
		{"blank lines", "\n\n\r\r\r\n\n", nil},
		{"nothing", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for name, r := range map[string]io.Reader{
				"whole":    strings.NewReader(c.stream),
				"by bytes": iotest.OneByteReader(strings.NewReader(c.stream)),
				"with EOF": iotest.DataErrReader(strings.NewReader(c.stream)),
			} {
				got, err := read(r, 1000)
				if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
					t.Errorf("%s: %v\n%s", name, err, diff)
				}
			}
		})
	}
}

func TestEventReaderLimits(t *testing.T) {
	t.Parallel()
	const limit = 10000
	long := strings.Repeat("x", limit)
	for _, c := range []struct {
		name, stream string
		events       int
		err          error
	}{
		{"at the limit", "data: " + long + "\n\n", 1, nil},
		{"one over", "data: " + long + "x\n\n", 0, ErrTooLong},
		{"in two lines at the limit", "data: " + long[:limit/2] + "\ndata: " + long[:limit/2-1] + "\n\n", 1, nil},
		{"in two lines one over", "data: " + long[:limit/2] + "\ndata: " + long[:limit/2] + "\n\n", 0, ErrTooLong},
		{"each event at the limit", strings.Repeat("data: "+long+"\n\n", 3), 3, nil},
		{"second event over", "data: a\n\ndata: " + long + "x\n\n", 1, ErrTooLong},
		{"endless line", strings.Repeat(long, 3), 0, ErrTooLong},
		{"endless comments in an event", "data: a\n" + strings.Repeat(":"+long+"\n", 3), 0, ErrTooLong},
		{"endless fields", strings.Repeat("id: "+long+"\n", 3), 0, ErrTooLong},
		{"comments between events", strings.Repeat(":"+long+"\n\n", 3), 3, nil},
		{"endless name", "event: " + long + long + "\ndata: a\n\n", 0, ErrTooLong},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := read(strings.NewReader(c.stream), limit)
			if len(got) != c.events || !errors.Is(err, c.err) {
				t.Errorf("%d events and %v, want %d and %v", len(got), err, c.events, c.err)
			}
		})
	}
}

// After an event over the limit comes the next, and nothing of what was skipped.
func TestEventReaderGoesOn(t *testing.T) {
	t.Parallel()
	const limit = 1 << 13
	long := strings.Repeat("x", limit)
	for _, stream := range []string{
		"data: " + long + "x\n\n",
		"data: " + long + "\ndata: x\ndata: y\n\n",
		"data: " + long + long + "\ndata: y\n\n",
		"data: " + long + long + "\r\n\r\n",
		"data: " + long + long + "\r\r",
		strings.Repeat("id: "+long+"\n", 3) + "data: y\n\n",
		// The limit of a line ends where one would begin that looks like an event's.
		"data: " + strings.Repeat("x", limit+slack+4096-len("data: ")) + "data: y\n\n",
		"data: " + strings.Repeat("x", limit+slack+4096-len("data: ")) + "\ndata: y\n\n",
	} {
		for name, r := range map[string]io.Reader{
			"whole": strings.NewReader(stream + stream + "data: next\n\n"),
			"bytes": iotest.OneByteReader(strings.NewReader(stream + stream + "data: next\n\n")),
		} {
			e := NewEventReader(r, limit)
			for range 2 {
				if ev, err := e.Next(); !errors.Is(err, ErrTooLong) {
					t.Fatalf("%s: %.40q: %.40q, %v", name, stream, ev.Data, err)
				}
			}
			if ev, err := e.Next(); err != nil || ev.Data != "next" {
				t.Errorf("%s: %.40q: then %.40q, %v", name, stream, ev.Data, err)
			}
			if ev, err := e.Next(); !errors.Is(err, io.EOF) {
				t.Errorf("%s: %.40q: in the end %.40q, %v", name, stream, ev.Data, err)
			}
		}
	}
}

func TestEventReaderPassesErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	got, err := read(io.MultiReader(strings.NewReader("data: a\n\ndata: b\n"), iotest.ErrReader(broken)), 100)
	if len(got) != 1 || !errors.Is(err, broken) {
		t.Errorf("%d events and %v", len(got), err)
	}
}

// A line that ends in CR is whole: its event must not wait for what follows.
func TestEventReaderDoesNotWait(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	defer func() { _ = w.Close() }()
	go func() { _, _ = io.WriteString(w, "data: a\r\r") }()
	if ev, err := NewEventReader(r, 100).Next(); err != nil || ev.Data != "a" {
		t.Errorf("%+v, %v", ev, err)
	}
}

func TestOneLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"a":"b"}`:                     `{"a":"b"}`,
		"{\r\n\"a\":\r\"\\n\"\n}":       `{  "a": "\n" }`,
		"{\"\u2028\":\"\u2029\u0085\"}": `{"\u2028":"\u2029\u0085"}`,
		"\"\\\\\u2028\"":                `"\\\u2028"`,
		"\r\n{ }\n":                     `{ }`,
	} {
		got := OneLine(text)
		if got != want {
			t.Errorf("OneLine(%q) = %q, want %q", text, got, want)
		}
		if cmp.Diff(plain(t, value(t, text)), plain(t, value(t, got))) != "" {
			t.Errorf("OneLine(%q) means something else", text)
		}
	}
}

func FuzzEventReader(f *testing.F) {
	for _, s := range []string{
		"data: a\n\n", "data: a\r\rdata: b\r\n\r\n", "\ufeffdata: a\n\n", "event: x\ndata: {\"a\":1}\ndata: 2\n\n", ":\n\nretry: 1\n\n",
		"data\ndata\n\n", "id: 1\ndata: \u2028\n\n", "data: a\n\rdata", "\xef\xbb\n\ndata:x\n\n",
	} {
		f.Add(s, 64)
	}
	f.Fuzz(func(t *testing.T, stream string, limit int) {
		limit &= 0xffff
		got, err := read(strings.NewReader(stream), limit)
		slowly, slowErr := read(iotest.OneByteReader(strings.NewReader(stream)), limit)
		if diff := cmp.Diff(got, slowly); diff != "" || !errors.Is(slowErr, err) {
			t.Fatalf("it matters where chunks end: %v, %v\n%s", err, slowErr, diff)
		}
		for _, ev := range got {
			if len(ev.Data) > limit {
				t.Fatal("an event over the limit")
			}
			if _, err := ParseValue(ev.Data); err != nil {
				continue
			}
			line := OneLine(ev.Data)
			again, err := read(strings.NewReader("event: message\ndata: "+line+"\n\n"), 6*len(line))
			if err != nil || len(again) != 1 || again[0].Data != line {
				t.Fatalf("%q read back as %q, %v", line, again, err)
			}
			if diff := cmp.Diff(plain(t, value(t, ev.Data)), plain(t, value(t, line))); diff != "" {
				t.Fatal(diff)
			}
			if strings.ContainsAny(line, "\r\n\u2028\u2029\u0085") {
				t.Fatalf("%q is not one line", line)
			}
		}
	})
}
