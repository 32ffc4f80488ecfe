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
		out, err := jsonpatch.MergePatch([]byte(text), []byte(patch))
		return string(out), err
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

func checkOperation(op mcp.Value) error {
	for _, member := range []string{"path", "from"} {
		path := op.Get(member)
		if member == "from" && !path.Exists() {
			continue
		}
		if !strings.HasPrefix(path.String(), "/") {
			return errors.New("a patch operation must point into the value")
		}
		if strings.Contains(path.String(), "/-") && !strings.HasSuffix(path.String(), "/-") {
			return errors.New("a patch operation counts from the end of an array")
		}
	}
	return nil
}
