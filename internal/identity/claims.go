package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"
)

// object decodes a JSON object that every parser reads alike: no duplicate
// names, valid UTF-8, nothing after it. Numbers keep their text.
func object(text []byte) (map[string]any, error) {
	if !jsontext.Value(text).IsValid() {
		return nil, errors.New("not one unambiguous JSON text")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var members map[string]any
	if err := d.Decode(&members); err != nil || members == nil {
		return nil, errors.New("not a JSON object")
	}
	return members, nil
}

// find returns the claim at a path: a name as it stands, or names joined by
// dots for what is nested. A name may itself have dots.
func find(claims map[string]any, path string) (any, bool) {
	if v, ok := claims[path]; ok {
		return v, true
	}
	for i, c := range path {
		if c != '.' {
			continue
		}
		if inner, ok := claims[path[:i]].(map[string]any); ok {
			if v, ok := find(inner, path[i+1:]); ok {
				return v, true
			}
		}
	}
	return nil, false
}

// stringsOf reads a claim that is a string or a list of strings.
func stringsOf(claim any) ([]string, bool) {
	if s, ok := claim.(string); ok {
		return []string{s}, true
	}
	list, ok := claim.([]any)
	all := make([]string, len(list))
	for i, v := range list {
		s, isString := v.(string)
		all[i], ok = s, ok && isString
	}
	return all, ok
}

// A Mapping says what the claims of a token mean.
type Mapping struct {
	Issuer string
	// Audience is what the token must be for, exactly. {server} in it stands for
	// the name of the server that is asked.
	Audience   string
	IDClaim    string
	RolesClaim string
	Skew       time.Duration // that clocks may be apart
}

// caller reads verified claims.
func (m *Mapping) caller(auth string, claims map[string]any, r *Request) (*Caller, error) {
	audiences, ok := stringsOf(claims["aud"])
	if want := strings.ReplaceAll(m.Audience, "{server}", r.Server); !ok || !slices.Contains(audiences, want) {
		return nil, bad("the token is for another audience")
	}
	if err := m.checkTimes(claims); err != nil {
		return nil, err
	}
	if err := checkBinding(claims); err != nil {
		return nil, err
	}
	id, _ := find(claims, m.IDClaim)
	c := &Caller{Auth: auth, Issuer: m.Issuer, Claims: claims, Roles: []string{}}
	if c.ID, ok = id.(string); !ok || c.ID == "" || strings.ContainsFunc(c.ID, unicode.IsControl) {
		return nil, bad("the token does not name its caller")
	}
	if verified, ok := claims["email_verified"]; ok && m.IDClaim == "email" && verified != true {
		return nil, bad("the token's e-mail address is not verified")
	}
	if roles, ok := find(claims, m.RolesClaim); ok {
		if c.Roles, ok = stringsOf(roles); !ok {
			return nil, bad("the token's roles are not strings")
		}
	}
	if m.RolesClaim == "scope" {
		c.Roles = scopes(claims)
	}
	c.Scopes = scopes(claims)
	return c, nil
}

// scopes are those of scope, which RFC 9068 separates by spaces, or of scp,
// which others use for the same, as text or as a list.
func scopes(claims map[string]any) []string {
	claim, ok := claims["scope"]
	if !ok {
		claim = claims["scp"]
	}
	all, ok := stringsOf(claim)
	if !ok {
		return nil
	}
	return strings.Fields(strings.Join(all, " "))
}

// checkTimes checks the times that there are.
func (m *Mapping) checkTimes(claims map[string]any) error {
	now := float64(time.Now().UnixMilli()) / 1e3
	skew := m.Skew.Seconds()
	for _, name := range []string{"exp", "nbf", "iat"} {
		claim, ok := claims[name]
		if !ok {
			continue
		}
		number, _ := claim.(json.Number)
		at, err := strconv.ParseFloat(string(number), 64)
		switch {
		case err != nil:
			return bad("the token's times are not numbers")
		case name == "exp" && now >= at+skew:
			return bad("the token has expired")
		case name != "exp" && now < at-skew:
			return bad("the token is not valid yet")
		}
	}
	return nil
}

// checkBinding refuses a token that only the holder of some key may use: nobody
// here can tell who holds it.
func checkBinding(claims map[string]any) error {
	if _, bound := claims["cnf"]; bound {
		return bad("the token is bound to a key")
	}
	return nil
}
