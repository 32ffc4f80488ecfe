package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/tailscale/hujson"
)

// A splice replaces the text between two offsets.
type splice struct {
	from, to int
	text     string
}

// An entry is what a client's configuration says of one stdio server.
type entry struct {
	name      string
	members   *hujson.Object
	command   *hujson.Value
	args      *hujson.Value // nil: there are none
	arguments []*hujson.Value
}

// editServers returns a configuration with each of its stdio servers changed. All
// else in it stays as it is, to the byte.
func editServers(text []byte, member string, change func(*entry) ([]splice, error)) ([]byte, error) {
	root, err := hujson.Parse(text)
	if err != nil {
		return nil, err
	}
	servers, err := find(&root, member)
	if err != nil || servers == nil {
		return text, err
	}
	all, ok := servers.Value.(*hujson.Object)
	if !ok {
		return nil, fmt.Errorf("%s is not an object", member)
	}
	var splices []splice
	for _, m := range all.Members {
		e, err := parseEntry(nameOf(m), &m.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", nameOf(m), err)
		}
		if e == nil {
			continue
		}
		more, err := change(e)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.name, err)
		}
		splices = append(splices, more...)
	}
	return apply(text, splices), nil
}

// apply makes edits, which are in the order of the text.
func apply(text []byte, splices []splice) []byte {
	var edited []byte
	at := 0
	for _, s := range splices {
		edited = append(append(edited, text[at:s.from]...), s.text...)
		at = s.to
	}
	return append(edited, text[at:]...)
}

func nameOf(m hujson.ObjectMember) string { return m.Name.Value.(hujson.Literal).String() }

// find is the member of an object with that name, or nil. Of two nobody knows
// which one counts.
func find(v *hujson.Value, name string) (*hujson.Value, error) {
	object, ok := v.Value.(*hujson.Object)
	if !ok {
		return nil, errors.New("not an object")
	}
	var found *hujson.Value
	for i := range object.Members {
		if nameOf(object.Members[i]) != name {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("%s is there twice", name)
		}
		found = &object.Members[i].Value
	}
	return found, nil
}

// parseEntry returns nil for a server that is not started as a command.
func parseEntry(name string, v *hujson.Value) (*entry, error) {
	command, err := find(v, "command")
	if err != nil || command == nil || command.Value.Kind() != '"' {
		return nil, err
	}
	e := &entry{name: name, members: v.Value.(*hujson.Object), command: command}
	if kind, err := find(v, "type"); err != nil || kind != nil && textOf(kind) != "stdio" {
		return nil, err
	}
	if e.args, err = find(v, "args"); err != nil || e.args == nil {
		return e, err
	}
	array, ok := e.args.Value.(*hujson.Array)
	if !ok {
		return nil, errors.New("args is not an array")
	}
	for i := range array.Elements {
		if array.Elements[i].Value.Kind() != '"' {
			return nil, errors.New("args holds what is no text")
		}
		e.arguments = append(e.arguments, &array.Elements[i])
	}
	return e, nil
}

// textOf is the text of a string, and what stands there for anything else.
func textOf(v *hujson.Value) string {
	if l, ok := v.Value.(hujson.Literal); ok {
		return l.String()
	}
	return ""
}

// wrapEntry is the change that wraps a server: gatehouse becomes its command, and
// what was its command goes before its arguments. A -- stands before that if the
// entry has arguments, be they none, so that it can be told what it was.
func (f *wrapFlags) wrapEntry(named bool) (func(*entry) ([]splice, error), error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return func(e *entry) ([]splice, error) {
		if before, _ := e.unwrapped(); before > 0 || strings.HasPrefix(textOf(e.command), "-") {
			return nil, nil
		}
		server := f.Server
		if !named {
			server = serverOf(e.name)
		}
		words, err := f.words(server)
		if err != nil {
			return nil, err
		}
		if e.args != nil {
			words = append(words, "--")
		}
		var quoted strings.Builder
		for _, w := range words {
			quoted.WriteString(string(hujson.String(w)) + ", ")
		}
		quoted.WriteString(string(e.command.Value.(hujson.Literal)))
		command := splice{e.command.StartOffset, e.command.EndOffset, string(hujson.String(self))}
		switch {
		case e.args == nil:
			command.text += "," + e.space() + `"args": [` + quoted.String() + "]"
			return []splice{command}, nil
		case len(e.arguments) == 0:
			at := e.args.StartOffset + len("[")
			return ordered(command, splice{at, at, quoted.String()}), nil
		}
		at := e.arguments[0].StartOffset
		return ordered(command, splice{at, at, quoted.String() + ", "}), nil
	}, nil
}

// space is what stands before the command, if that is no more than white space.
func (e *entry) space() string {
	for _, m := range e.members.Members {
		if before := m.Name.BeforeExtra; nameOf(m) == "command" && len(before) > 0 && before.IsStandard() {
			return string(before)
		}
	}
	return " "
}

func ordered(a, b splice) []splice {
	if a.from > b.from {
		a, b = b, a
	}
	return []splice{a, b}
}

// unwrapped is the number of arguments before what was the command of a server that
// is wrapped, 0 of one that is not, and whether a -- is the last of them.
func (e *entry) unwrapped() (before int, dashed bool) {
	if !isGatehouse(textOf(e.command)) || len(e.arguments) < 2 || textOf(e.arguments[0]) != "wrap" {
		return 0, false
	}
	var words []string
	for _, v := range e.arguments[1:] {
		words = append(words, textOf(v))
	}
	cmd := wrapCommand()
	cmd.SetOut(io.Discard)
	if cmd.ParseFlags(words) != nil || cmd.Flags().NArg() == 0 {
		return 0, false
	}
	return len(e.arguments) - cmd.Flags().NArg(), cmd.Flags().ArgsLenAtDash() == 0
}

// unwrapEntry is the change that makes of a wrapped server what it was.
func unwrapEntry(e *entry) ([]splice, error) {
	before, dashed := e.unwrapped()
	if before == 0 {
		return nil, nil
	}
	first, was := e.arguments[0], e.arguments[before]
	command := splice{e.command.StartOffset, e.command.EndOffset, string(was.Value.(hujson.Literal))}
	switch {
	case before+1 < len(e.arguments):
		return ordered(command, splice{first.StartOffset, e.arguments[before+1].StartOffset, ""}), nil
	case dashed:
		return ordered(command, splice{first.StartOffset, was.EndOffset, ""}), nil
	}
	return ordered(command, e.withoutArgs()), nil
}

// withoutArgs removes the arguments as a whole, with the comma before them, or
// after them if they come first.
func (e *entry) withoutArgs() splice {
	all := e.members.Members
	for i := range all {
		if nameOf(all[i]) != "args" {
			continue
		}
		if i > 0 {
			return splice{all[i-1].Value.EndOffset, all[i].Value.EndOffset, ""}
		}
		return splice{all[0].Name.StartOffset, all[1].Name.StartOffset, ""}
	}
	return splice{}
}

// serverOf makes a server's name, as the policy's input has it, of the name that a
// user gave it.
func serverOf(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else {
			b.WriteByte('-')
		}
	}
	const most = 63
	s := strings.Trim(b.String(), "-")
	if s = strings.Trim(s[:min(len(s), most)], "-"); s == "" {
		return "default"
	}
	return s
}
