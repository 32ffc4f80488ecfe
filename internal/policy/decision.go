package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Codes of a denial.
const (
	CodeDeny      = "policy_deny"       // this caller may not
	CodeInvalid   = "validation_failed" // this caller may, but not with these arguments
	CodeRateLimit = "rate_limited"      // this caller may, but not now
)

// Reasons why there is no answer of the policy.
var (
	ErrTimeout   = errors.New("the policy timed out")
	ErrNone      = errors.New("no policy is loaded")
	ErrBadPatch  = errors.New("the patch does not apply")
	ErrBadRedact = errors.New("the redaction does not apply")
	ErrBadItem   = errors.New("an item of the list is ambiguous")
	errUndefined = errors.New("the decision is undefined")
	errNotJSON   = errors.New("the patch is not JSON")
)

// explain says what kind of failure it was and in which rule, and nothing of
// the input that built-in errors like to quote.
func explain(err error) error {
	var e *topdown.Error
	switch {
	case topdown.IsCancel(err):
		return ErrTimeout
	case errors.As(err, &e) && e.Location != nil:
		return fmt.Errorf("%s at %s:%d", e.Code, e.Location.File, e.Location.Row)
	case errors.As(err, &e):
		return errors.New(e.Code)
	}
	return err
}

// A Decision is what a policy answered. The zero value denies.
type Decision struct {
	Allow  bool
	Reason string
	Code   string // of a denial; one of the codes above
	Patch  string // JSON text of an object (RFC 7396) or an array (RFC 6902), or empty
	Redact string // JSON text of an array of keys of data.secrets, each once and in order, or empty
	Err    error  // why there is no answer; then nothing else is set but Eval
	Eval   time.Duration
}

// Status is the HTTP status that goes with a denial.
func (d *Decision) Status() int {
	switch d.Code {
	case CodeInvalid:
		return http.StatusUnprocessableEntity
	case CodeRateLimit:
		return http.StatusTooManyRequests
	}
	return http.StatusForbidden
}

// Changes reports whether a permission is for the message in another form only.
func (d *Decision) Changes() bool { return d.Allow && (d.Patch != "" || d.Redact != "") }

var (
	keyAllow  = ast.InternedTerm("allow")
	keyReason = ast.InternedTerm("reason")
	keyCode   = ast.InternedTerm("code")
	keyPatch  = ast.InternedTerm("patch")
	keyRedact = ast.InternedTerm("redact")
)

// parseDecision reads the answer of the policy. A denial stays one whatever
// else stands beside it.
func parseDecision(t *ast.Term) (Decision, error) {
	o, ok := t.Value.(ast.Object)
	if !ok {
		return Decision{}, errors.New("the decision is not an object")
	}
	allow, ok := valueOf(o.Get(keyAllow)).(ast.Boolean)
	if !ok {
		return Decision{}, errors.New("allow is not a boolean")
	}
	reason, _ := valueOf(o.Get(keyReason)).(ast.String)
	d := Decision{Reason: string(reason)}
	if !allow {
		code, _ := valueOf(o.Get(keyCode)).(ast.String)
		switch d.Code = string(code); d.Code {
		case CodeInvalid, CodeRateLimit:
		default:
			d.Code = CodeDeny
		}
		return d, nil
	}
	if patch := o.Get(keyPatch); patch != nil {
		text, err := patchText(patch)
		if err != nil {
			return Decision{}, err
		}
		d.Patch = text
	}
	if redact := o.Get(keyRedact); redact != nil {
		text, err := redactText(redact)
		if err != nil {
			return Decision{}, err
		}
		d.Redact = text
	}
	d.Allow = true
	return d, nil
}

func valueOf(t *ast.Term) ast.Value {
	if t == nil {
		return nil
	}
	return t.Value
}

// patchText is the JSON text of a patch, and empty for one that changes nothing.
func patchText(t *ast.Term) (string, error) {
	switch v := t.Value.(type) {
	case ast.Object:
		if v.Len() == 0 {
			return "", nil
		}
	case *ast.Array:
		if v.Len() == 0 {
			return "", nil
		}
	default:
		return "", errors.New("patch is neither an object nor an array")
	}
	native, err := ast.JSON(t.Value)
	if err != nil {
		return "", errNotJSON
	}
	var text strings.Builder
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(native); err != nil {
		return "", errNotJSON
	}
	return text.String(), nil
}
