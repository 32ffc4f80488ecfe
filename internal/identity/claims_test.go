package identity

import (
	"encoding/json"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestClaims(t *testing.T) {
	const claims = `{"sub":"alice","email":"a@org","email_verified":false,"n":12345678901234567890,
		"groups":["dev","ops"],"role":"Domain Admins","scope":"a b","scp":["c"],
		"realm_access":{"roles":["r1"]},"https://org.example/roles":["namespaced"],
		"resource_access":{"gw.example":{"roles":["nested"]}},"a.b":{"c":["dotted"]},"none":[]}`
	for _, tc := range []struct {
		id, roles string
		want      []string
		bad       bool
	}{
		{"sub", "groups", []string{"dev", "ops"}, false},
		{"sub", "role", []string{"Domain Admins"}, false}, // not two roles
		{"sub", "realm_access.roles", []string{"r1"}, false},
		{"sub", "https://org.example/roles", []string{"namespaced"}, false},
		{"sub", "resource_access.gw.example.roles", []string{"nested"}, false},
		{"sub", "a.b.c", []string{"dotted"}, false},
		{"sub", "scope", []string{"a", "b"}, false},
		{"sub", "none", []string{}, false},
		{"sub", "missing", []string{}, false},
		{"sub", "missing.roles", []string{}, false},
		{"sub", "realm_access", nil, true},
		{"sub", "n", nil, true},
		{"email", "groups", nil, true}, // not verified
		{"n", "groups", nil, true},
		{"missing", "groups", nil, true},
		{"groups", "groups", nil, true},
	} {
		members, err := object([]byte(claims))
		if err != nil {
			t.Fatal(err)
		}
		members["aud"] = "x"
		m := &Mapping{Issuer: "i", Audience: "x", IDClaim: tc.id, RolesClaim: tc.roles}
		c, err := m.caller(AuthJWT, members, &Request{})
		if tc.bad != (err != nil) {
			t.Errorf("%s, %s: %+v, %v", tc.id, tc.roles, c, err)
			continue
		}
		if err == nil && (!slices.Equal(c.Roles, tc.want) || c.Roles == nil || !slices.Equal(c.Scopes, []string{"a", "b"})) {
			t.Errorf("%s, %s: roles %q, scopes %q", tc.id, tc.roles, c.Roles, c.Scopes)
		}
		if err == nil && c.Claims["n"] != json.Number("12345678901234567890") {
			t.Errorf("a number is %v", c.Claims["n"])
		}
	}
}

func TestScopes(t *testing.T) {
	for claims, want := range map[string][]string{
		`{}`: nil, `{"scope":"a b"}`: {"a", "b"}, `{"scp":"a b"}`: {"a", "b"}, `{"scp":["a","b"]}`: {"a", "b"},
		`{"scope":"","scp":"a"}`: nil, `{"scope":1}`: nil, `{"scope":["a",1]}`: nil,
	} {
		members, err := object([]byte(claims))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, scopes(members)); d != "" && len(want)+len(scopes(members)) > 0 {
			t.Errorf("%s: %s", claims, d)
		}
	}
}

// The same id by another proof, or of another issuer, is another principal.
func TestKeysTellApart(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range []Caller{
		{ID: "a", Auth: AuthJWT, Issuer: "x"},
		{ID: "a", Auth: AuthJWT, Issuer: "y"},
		{ID: "a", Auth: AuthIntrospection, Issuer: "x"},
		{ID: "a", Auth: AuthAPIKey},
		{ID: "x\x00a", Auth: AuthAPIKey},
		{ID: "b", Auth: AuthAPIKey},
	} {
		if seen[c.Key()] {
			t.Errorf("%+v is one that was", c)
		}
		seen[c.Key()] = true
	}
}

func TestTimesAtTheirEdges(t *testing.T) {
	m := &Mapping{Skew: 30 * time.Second}
	now := time.Now().Unix()
	for claim, good := range map[string]bool{
		`"exp":` + strconv.FormatInt(now-29, 10): true, `"exp":` + strconv.FormatInt(now-31, 10): false,
		`"nbf":` + strconv.FormatInt(now+29, 10): true, `"nbf":` + strconv.FormatInt(now+31, 10): false,
		`"iat":` + strconv.FormatInt(now+29, 10): true, `"iat":` + strconv.FormatInt(now+31, 10): false,
		`"exp":-1`: false, `"exp":1e15`: true, `"exp":true`: false, `"nbf":"0"`: false,
	} {
		members, err := object([]byte("{" + claim + "}"))
		if err != nil {
			t.Fatal(err)
		}
		if err := m.checkTimes(members); (err == nil) != good {
			t.Errorf("%s: %v", claim, err)
		}
	}
}
