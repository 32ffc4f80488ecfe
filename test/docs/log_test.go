package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// computed are the messages of log lines that no literal has, by the expression.
var computed = map[string][]string{
	"string(r.Outcome)": {"would_deny", "would_patch"}, // of all outcomes, only these are logged by warn
	"message":           nil,                           // complain's own: its callers have the literals
}

// TestLogLinesAreTold holds the table of the log in operations.md to the source:
// every message at WARN and ERROR is in it, at that level, and nothing else is.
func TestLogLinesAreTold(t *testing.T) {
	logged := map[string]string{}
	for _, dir := range []string{"cmd", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			return logLines(t, path, logged)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	told := map[string]string{}
	page, err := os.ReadFile(filepath.Join(root, "docs/operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*`) \\| (WARN|ERROR) \\|").FindAllStringSubmatch(string(page), -1) {
		for message := range strings.SplitSeq(strings.Trim(row[1], "`"), "`, `") {
			told[message] = row[2]
		}
	}
	for _, message := range slices.Sorted(maps.Keys(logged)) {
		if told[message] != logged[message] {
			t.Errorf("%q at %s is told at %q", message, logged[message], told[message])
		}
	}
	for _, message := range slices.Sorted(maps.Keys(told)) {
		if logged[message] == "" {
			t.Errorf("%q is told, and never logged", message)
		}
	}
	if len(logged) < 30 {
		t.Errorf("only %d lines were found", len(logged))
	}
}

// logLines collects the messages that a file logs at WARN and ERROR.
func logLines(t *testing.T, path string, into map[string]string) error {
	t.Helper()
	source, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	file, err := parser.ParseFile(token.NewFileSet(), path, source, 0)
	if err != nil {
		return err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		level, message := logCall(call)
		if message == nil {
			return true
		}
		text := string(source[message.Pos()-file.FileStart : message.End()-file.FileStart])
		messages, known := computed[text]
		if literal, err := strconv.Unquote(text); err == nil {
			messages, known = []string{literal}, true
		}
		if !known {
			t.Errorf("%s logs %s: which messages are that?", path, text)
		}
		for _, m := range messages {
			into[m] = level
		}
		return true
	})
	return nil
}

// logCall tells of a call that logs at which level, and its message; nil: it does not.
func logCall(call *ast.CallExpr) (level string, message ast.Expr) {
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || len(call.Args) == 0 {
		return "", nil
	}
	if f.Sel.Name == "complain" {
		return "ERROR", call.Args[0]
	}
	on := ""
	switch x := f.X.(type) {
	case *ast.Ident:
		on = x.Name
	case *ast.SelectorExpr:
		on = x.Sel.Name
	}
	if on != "slog" && !strings.EqualFold(on, "log") && !strings.EqualFold(on, "logger") {
		return "", nil
	}
	switch f.Sel.Name {
	case "Warn", "Error":
		return strings.ToUpper(f.Sel.Name), call.Args[0]
	case "WarnContext", "ErrorContext":
		return strings.ToUpper(strings.TrimSuffix(f.Sel.Name, "Context")), call.Args[1]
	case "Log":
		return "ERROR", call.Args[2]
	}
	return "", nil
}
