package policy

import (
	"testing"

	"github.com/open-policy-agent/opa/v1/topdown"
)

func TestDocumentIsWhatIsDecided(t *testing.T) {
	t.Parallel()
	s := rego(t, `
decision := {"allow": true, "patch": {"seen": json.marshal(input)}}`)
	for _, in := range inputs(t) {
		document, err := s.Document(in)
		if err != nil {
			t.Fatal(err)
		}
		a, b := s.Decide(in), s.DecideDocument(document)
		if a.Err != nil || a.Patch != b.Patch {
			t.Errorf("%s:\n%+v\n%+v", document.Text(), a, b)
		}
	}
}

func TestExplainShowsEveryRule(t *testing.T) {
	t.Parallel()
	s := rego(t, `
decision := {"allow": false} if input.kind == "a"
decision := {"allow": false} if input.kind == "b"`)
	tracer := topdown.NewBufferTracer()
	if d := s.Explain(value(t, `{"kind":"b"}`), tracer); d.Err != nil || d.Code != CodeDeny {
		t.Errorf("%+v", d)
	}
	entered := 0
	for _, e := range *tracer {
		if e.Op == topdown.EnterOp && e.HasRule() {
			entered++
		}
	}
	if entered != 2 {
		t.Errorf("%d rules", entered)
	}
}
