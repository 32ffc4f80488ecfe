package login

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type recorded struct{ got string }

func (r *recorded) RoundTrip(req *http.Request) (*http.Response, error) {
	r.got = req.Header.Get("Authorization")
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
}

// A file that has no token, or more than one could be, sends nothing.
func TestBearerFile(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"token\n", "Bearer token"},
		{strings.Repeat("x", maxToken), "Bearer " + strings.Repeat("x", maxToken)},
		{strings.Repeat("x", maxToken+1), ""},
		{" \n", ""},
	} {
		file := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(file, []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://service.example/", nil)
		if err != nil {
			t.Fatal(err)
		}
		var over recorded
		resp, err := New(Credentials{BearerFile: file}, nil).Send(r, &over)
		if err == nil {
			_ = resp.Body.Close()
		}
		if (err == nil) != (tc.want != "") || over.got != tc.want {
			t.Errorf("%d bytes: %v, sent %d bytes", len(tc.text), err, len(over.got))
		}
	}
}
