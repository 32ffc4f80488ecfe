package bridge

import (
	"errors"
	"net/http"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// refusesModern reports whether an answer to a modern message shows that the server is of the older era, and
// did nothing. It may have to look at the first event of a stream, which the answer then still gives.
func refusesModern(method string, a *mcp.Answer) bool {
	discovers := method == "server/discover"
	switch a.Status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed:
	case http.StatusOK, statusNone:
		if !discovers {
			return false
		}
	default:
		return false
	}
	m := firstIn(a)
	if m == nil {
		return a.Status >= http.StatusBadRequest
	}
	switch code := codeOf(m); {
	case m.Result.Exists():
		return discovers && m.Result.Get("supportedVersions").Kind() == '[' && !hasModern(m.Result.Get("supportedVersions"))
	case code == codeWrongVersion:
		return !hasModern(m.Error.Get("data").Get("supported"))
	case code <= codeFirstReserved && code >= codeLastReserved:
		return false
	case discovers: // every modern server has it
		return true
	case !m.ID.Exists():
		return true
	default:
		return code != mcp.CodeNoMethod && code != mcp.CodeInvalidParams
	}
}

// hasModern reports whether a list of revisions has one that the bridge speaks, or a newer one.
func hasModern(versions mcp.Value) bool {
	for v := range versions.Items() {
		if v.String() >= mcp.Modern {
			return true
		}
	}
	return false
}

// refusesLegacy reports whether an answer to a legacy message shows that the server knows modern ones only.
func refusesLegacy(a *mcp.Answer) bool {
	if a.Status != http.StatusBadRequest {
		return false
	}
	m := firstIn(a)
	if m == nil {
		return false
	}
	code := codeOf(m)
	return code == mcp.CodeHeaderMismatch || code == codeWrongVersion && hasModern(m.Error.Get("data").Get("supported"))
}

// refusesInitialize reports whether an answer to initialize may be that of a server that does not know it.
func refusesInitialize(a *mcp.Answer) bool {
	switch a.Status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed:
		return true
	case http.StatusOK, statusNone:
		m := firstIn(a)
		return m != nil && m.Error.Exists()
	}
	return false
}

// firstIn is the response that an answer gives or begins with, if it does.
func firstIn(a *mcp.Answer) *mcp.Message {
	text := a.Text
	if a.Events != nil {
		text = peek(a)
	}
	m, bad := mcp.ParseServer(text)
	if bad != nil || !m.IsResponse() {
		return nil
	}
	return m
}

// peek is the data of the first event that has any. Signs of life before it, of which there may be any
// number, are left out.
func peek(a *mcp.Answer) string {
	seen := &peeked{Events: a.Events, again: true}
	a.Events = seen
	for seen.first.Data == "" && seen.err == nil {
		seen.first, seen.err = seen.Events.Next()
	}
	return seen.first.Data
}

// peeked are events of which the first was seen already.
type peeked struct {
	mcp.Events
	first mcp.Event
	err   error // in its place
	again bool  // it is still to be given
}

func (p *peeked) Next() (mcp.Event, error) {
	if !p.again {
		return p.Events.Next()
	}
	p.again = false
	return p.first, p.err
}

// response reads an answer up to the response to a request of the bridge's own. What else a server tells in
// between belongs to nobody.
func response(a *mcp.Answer, id string) (*mcp.Message, *mcp.Error) {
	defer a.Close()
	none := mcp.Refuse(http.StatusBadGateway, "the server's answer is malformed", "to a request of the gateway's own")
	for text := a.Text; ; {
		if a.Events != nil {
			ev, err := a.Events.Next()
			if err != nil {
				errors.As(err, &none)
				return nil, none
			}
			if text = ev.Data; text == "" {
				continue
			}
		}
		m, bad := mcp.ParseServer(text)
		switch {
		case bad != nil: // it may be the response
			return nil, none
		case m.IsResponse() && (m.ID.Text() == id || m.Error.Exists() && !m.ID.Exists()):
			return m, nil
		case a.Events == nil:
			return nil, none
		}
	}
}
