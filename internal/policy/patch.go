package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// maxCopied bounds what the copy operations of one patch may add, in bytes.
const maxCopied = 1 << 20

// ApplyPatch applies a decision's patch to the text of a JSON value: an object
// as a merge patch (RFC 7396), an array as a JSON patch (RFC 6902) that may
// neither replace the value as a whole nor count from an array's end. The
// caller must parse what it returns as strictly as what came over the wire.
func ApplyPatch(text, patch string) (string, error) {
	p, err := mcp.ParseValue(strings.TrimSpace(patch))
	if err != nil {
		return "", fmt.Errorf("read patch: %w", err)
	}
	if p.IsObject() {
		target, err := mcp.ParseValue(text)
		if err != nil {
			return "", fmt.Errorf("read value: %w", err)
		}
		return string(appendMerged(nil, target, p)), nil
	}
	if p.Kind() != '[' {
		return "", errors.New("a patch is an object or an array")
	}
	for op := range p.Items() {
		if err := checkOperation(op); err != nil {
			return "", err
		}
	}
	var ops jsonpatch.Patch
	if err := json.Unmarshal([]byte(patch), &ops); err != nil {
		return "", fmt.Errorf("read patch: %w", err)
	}
	out, err := ops.ApplyWithOptions([]byte(text), &jsonpatch.ApplyOptions{AccumulatedCopySizeLimit: maxCopied})
	return string(out), err
}

// SamePatch reports whether two patches say the same, in whatever order and
// notation.
func SamePatch(a, b string) bool {
	if a == b {
		return true
	}
	x, err := mcp.ParseValue(strings.TrimSpace(a))
	y, err2 := mcp.ParseValue(strings.TrimSpace(b))
	return err == nil && err2 == nil && valueTerm(x).Equal(valueTerm(y))
}

// appendMerged adds the target as a merge patch makes it. What the patch does
// not name stays as it was written.
func appendMerged(b []byte, target, patch mcp.Value) []byte {
	if !patch.IsObject() {
		return append(b, patch.Text()...)
	}
	b = append(b, '{')
	first := len(b)
	member := func(name, old, merge mcp.Value) {
		if merge.Kind() == 'n' {
			return
		}
		if len(b) > first {
			b = append(b, ',')
		}
		b = append(append(b, name.Text()...), ':')
		if merge.Exists() {
			b = appendMerged(b, old, merge)
		} else {
			b = append(b, old.Text()...)
		}
	}
	for name, m := range target.Members() {
		member(name, m, patch.Get(name.String()))
	}
	for name, m := range patch.Members() {
		if !target.Get(name.String()).Exists() {
			member(name, mcp.Value{}, m)
		}
	}
	return append(b, '}')
}

// checkOperation refuses what the library would forgive. It counts indices
// from the start only, as long as its options do not say otherwise.
func checkOperation(op mcp.Value) error {
	kind, from := op.Get("op").String(), op.Get("from")
	switch {
	case !strings.HasPrefix(op.Get("path").String(), "/"), from.Exists() && !strings.HasPrefix(from.String(), "/"):
		return errors.New("a patch operation must point into the value")
	case !op.Get("value").Exists() && (kind == "add" || kind == "replace" || kind == "test"):
		return errors.New("a patch operation has no value")
	}
	return nil
}
