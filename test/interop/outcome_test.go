package interop

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// A step is one thing that a client does.
type step struct {
	// Do is version (which was negotiated), tools, resources or prompts (names of what is listed), read,
	// prompt, call, asked (what the server asked so far) or changed (calls the named tool until a
	// notification about a changed list of tools arrives).
	Do   string         `json:"do"`
	Name string         `json:"name,omitempty"`
	Args map[string]any `json:"args,omitempty"`
	want want
}

// An outcome is what a client saw of one step.
type outcome struct {
	Text     string    `json:"text"`
	Names    []string  `json:"names"`
	Progress []float64 `json:"progress"`
	Failed   bool      `json:"failed"` // a tool's result with isError
	Error    *refusal  `json:"error"`
}

// A refusal is the JSON-RPC error that a client can get at, however its SDK shows it.
type refusal struct {
	Code    int    `json:"code"`
	Message string `json:"message"` // with what the SDK adds to it
	Reason  string `json:"reason"`  // data.reason
}

// A want is what has to be seen; what is left out must not be seen either, unless it says otherwise.
type want struct {
	text     string
	contains string // instead of text: a part of it
	names    []string
	lacks    string // instead of names: one that is not there, of a list that is not empty
	progress []float64
	refusal  *refusal
	failed   bool // in any form: an error or a failed tool
}

// denied is a refusal by the policy, in the form that the design gives it.
func denied(code int, message, reason string) want {
	return want{refusal: &refusal{code, message, reason}}
}

func (w want) check(got outcome) error {
	if w.failed {
		if got.Error == nil && !got.Failed {
			return fmt.Errorf("succeeded with %v", got)
		}
		return nil
	}
	if w.refusal != nil {
		return w.refusal.check(got)
	}
	switch {
	case got.Error != nil || got.Failed:
		return fmt.Errorf("failed: %v", got)
	case w.contains != "" && strings.Contains(got.Text, w.contains):
	case got.Text != w.text:
		return fmt.Errorf("got text %q, want %q", got.Text, w.text+w.contains)
	}
	if w.progress != nil && !slices.Equal(got.Progress, w.progress) {
		return fmt.Errorf("got progress %v, want %v", got.Progress, w.progress)
	}
	return w.checkNames(got.Names)
}

func (w want) checkNames(got []string) error {
	if w.lacks != "" {
		if len(got) == 0 || slices.Contains(got, w.lacks) {
			return fmt.Errorf("got %q, want a list without %q", got, w.lacks)
		}
		return nil
	}
	got = slices.Sorted(slices.Values(got))
	if !slices.Equal(got, slices.Sorted(slices.Values(w.names))) {
		return fmt.Errorf("got %q, want %q", got, w.names)
	}
	return nil
}

func (r refusal) check(got outcome) error {
	e := got.Error
	if e == nil || e.Code != r.Code || e.Reason != r.Reason || !strings.Contains(e.Message, r.Message) {
		return fmt.Errorf("got %v, want the refusal %v", got, r)
	}
	return nil
}

// String is the outcome as JSON, for messages.
func (o outcome) String() string {
	text, err := json.Marshal(o)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
