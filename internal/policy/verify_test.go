package policy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/bundle"
)

// A signer signs bundles as opa sign does.
type signer struct {
	private, public string // files
	algorithm       string
}

func signers(t *testing.T) map[string]signer {
	t.Helper()
	dir := t.TempDir()
	file := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		write(t, path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
		return path
	}
	must := func(der []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	all := map[string]signer{}
	for _, name := range []string{"RS256", "RS256 other"} {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = signer{
			file(name, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k)),
			file(name+".pub", "PUBLIC KEY", must(x509.MarshalPKIXPublicKey(&k.PublicKey))), "RS256",
		}
	}
	for _, name := range []string{"ES256", "ES256 other"} {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = signer{
			file(name, "EC PRIVATE KEY", must(x509.MarshalECPrivateKey(k))),
			file(name+".pub", "PUBLIC KEY", must(x509.MarshalPKIXPublicKey(&k.PublicKey))), "ES256",
		}
	}
	for _, name := range []string{"HS256", "HS256 other"} {
		path := filepath.Join(dir, name)
		write(t, path, []byte(strings.Repeat(name, 8)))
		all[name] = signer{path, path, "HS256"}
	}
	return all
}

// sign returns the files with their signature. The digests of some files may
// be of another type than SHA-256, and claims may be added.
func sign(t *testing.T, s signer, files map[string]string, hashing bundle.HashingAlgorithm, claims map[string]any) map[string]string {
	t.Helper()
	var infos []bundle.FileInfo
	for name, text := range files {
		hasher, err := bundle.NewSignatureHasher(hashing)
		if err != nil {
			t.Fatal(err)
		}
		var v any = []byte(text)
		if bundle.IsStructuredDoc(name) {
			if err := json.Unmarshal([]byte(text), &v); err != nil {
				t.Fatal(err)
			}
		}
		sum, err := hasher.HashFile(v)
		if err != nil {
			t.Fatal(err)
		}
		infos = append(infos, bundle.NewFile(name, hex.EncodeToString(sum), string(hashing)))
	}
	claimsFile := ""
	if claims != nil {
		raw, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		claimsFile = filepath.Join(t.TempDir(), "claims.json")
		write(t, claimsFile, raw)
	}
	token, err := bundle.GenerateSignedToken(infos, bundle.NewSigningConfig(s.private, s.algorithm, claimsFile), "")
	if err != nil {
		t.Fatal(err)
	}
	signed := maps.Clone(files)
	signed[".signatures.json"] = `{"signatures":["` + token + `"]}`
	return signed
}

func with(files map[string]string, name, text string) map[string]string {
	out := maps.Clone(files)
	out[name] = text
	return out
}

func without(files map[string]string, name string) map[string]string {
	out := maps.Clone(files)
	delete(out, name)
	return out
}

func TestSignatures(t *testing.T) {
	keys := signers(t)
	plain := revision("one")
	for _, algorithm := range []string{"RS256", "ES256", "HS256"} {
		key, other := keys[algorithm], keys[algorithm+" other"]
		verify := Verify{Key: key.public, Algorithm: algorithm}
		scoped, named := verify, verify
		scoped.Scope, named.KeyID = "write", "k1"
		good := sign(t, key, plain, bundle.SHA256, nil)
		for name, c := range map[string]struct {
			verify Verify
			files  map[string]string
			why    string // empty: good
		}{
			"good":        {verify, good, ""},
			"unsigned":    {verify, plain, "not signed"},
			"no token":    {verify, with(plain, ".signatures.json", `{"signatures":[]}`), "not signed"},
			"two tokens":  {verify, with(plain, ".signatures.json", `{"signatures":["a","b"]}`), "exactly one"},
			"wrong key":   {verify, sign(t, other, plain, bundle.SHA256, nil), "verify"},
			"tampered":    {verify, with(good, "p.rego", "package mcp\ndecision := {\"allow\": true}"), "digest mismatch"},
			"data":        {verify, with(good, "mcp/data.json", `{"revision":"two"}`), "digest mismatch"},
			"manifest":    {verify, with(good, ".manifest", `{"revision":"9","roots":["mcp"]}`), "digest mismatch"},
			"extra file":  {verify, with(good, "q.rego", "package mcp"), "not included in bundle signature"},
			"extra text":  {verify, with(good, "README.md", "hello"), "not included in bundle signature"},
			"file gone":   {verify, without(good, "mcp/data.json"), "not found in the target bundle"},
			"other's":     {verify, with(revision("two"), ".signatures.json", good[".signatures.json"]), "digest mismatch"},
			"weak digest": {verify, sign(t, key, plain, bundle.MD5, nil), "not safe"},
			"twice signed": {
				verify, with(good, "mcp/.signatures.json", good[".signatures.json"]), "multiple signatures files",
			},
			"two values of a key": {
				verify, with(good, ".manifest", `{"file_rego_versions":{"/p.rego":0},`+good[".manifest"][1:]), "digest mismatch",
			},
			"two values of one key": {
				verify, with(good, ".manifest", `{"revision":"two",`+good[".manifest"][1:]), "not strict JSON",
			},
			"plugin":       {verify, with(good, ".signatures.json", `{"plugin":"x",`+good[".signatures.json"][1:]), "no verifier"},
			"scope":        {scoped, sign(t, key, plain, bundle.SHA256, map[string]any{"scope": "write"}), ""},
			"no scope":     {scoped, good, "scope mismatch"},
			"other scope":  {scoped, sign(t, key, plain, bundle.SHA256, map[string]any{"scope": "read"}), "scope mismatch"},
			"scope for no": {verify, sign(t, key, plain, bundle.SHA256, map[string]any{"scope": "write"}), "scope mismatch"},
			"key id":       {named, sign(t, key, plain, bundle.SHA256, map[string]any{"keyid": "k1"}), ""},
			"other key id": {named, sign(t, key, plain, bundle.SHA256, map[string]any{"keyid": "k2"}), "ID k2 not found"},
			"no key id":    {named, good, "key ID is empty"},
			"any key id":   {verify, sign(t, key, plain, bundle.SHA256, map[string]any{"keyid": "k2"}), ""},
		} {
			t.Run(algorithm+" "+name, func(t *testing.T) { wantParse(t, c.files, &c.verify, c.why) })
		}
	}
}

// A public key is no secret, and what the signature says of its algorithm does
// not count.
func TestAlgorithmConfusion(t *testing.T) {
	keys := signers(t)
	files := revision("one")
	public := keys["RS256"].public
	raw, err := os.ReadFile(public)
	if err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, secret, raw)
	forged := sign(t, signer{private: secret, algorithm: "HS256"}, files, bundle.SHA256, nil)
	none := with(files, ".signatures.json", `{"signatures":["eyJhbGciOiJub25lIn0.e30."]}`)
	es := sign(t, keys["ES256"], files, bundle.SHA256, nil)
	for name, c := range map[string]struct {
		files  map[string]string
		verify Verify
		why    string
	}{
		"HMAC by the public key":    {forged, Verify{Key: public, Algorithm: "RS256"}, "verify"},
		"a public key as secret":    {forged, Verify{Key: public, Algorithm: "HS256"}, "no secret for HS256"},
		"a short secret":            {forged, Verify{Key: shortFile(t), Algorithm: "HS256"}, "at least 32"},
		"none":                      {none, Verify{Key: public, Algorithm: "RS256"}, "verify"},
		"another algorithm":         {es, Verify{Key: public, Algorithm: "RS256"}, "verify"},
		"a key of another type":     {es, Verify{Key: public, Algorithm: "ES256"}, "verify"},
		"a private key":             {es, Verify{Key: keys["ES256"].private, Algorithm: "ES256"}, "private key"},
		"no key in the file":        {es, Verify{Key: secret + "x", Algorithm: "ES256"}, "read verification key"},
		"a file that is not a key":  {es, Verify{Key: keys["HS256"].public, Algorithm: "ES256"}, "PEM"},
		"a signature that is empty": {with(files, ".signatures.json", `{"signatures":[""]}`), Verify{Key: public, Algorithm: "RS256"}, "verify"},
	} {
		t.Run(name, func(t *testing.T) { wantParse(t, c.files, &c.verify, c.why) })
	}
}

func shortFile(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "short")
	write(t, path, []byte("short"))
	return path
}

// wantParse packs, unpacks and parses the files.
func wantParse(t *testing.T, files map[string]string, verify *Verify, why string) {
	t.Helper()
	unpacked, err := untar(pack(t, entries(files)...))
	if err != nil {
		t.Fatal(err)
	}
	_, err = parseBundle(unpacked, verify)
	if why == "" && err != nil || why != "" && (err == nil || !strings.Contains(err.Error(), why)) {
		t.Errorf("error %v, want %q", err, why)
	}
}

func TestDirectoryIsNotVerified(t *testing.T) {
	dir := t.TempDir()
	for name, text := range revision("one") {
		write(t, filepath.Join(dir, name), []byte(text))
	}
	w := watchAs(t, Config{Bundle: dir, Verify: &Verify{Key: "k", Algorithm: "RS256"}})
	w.bad("the bundle is a directory: verify and persist need a .tar.gz", "", 1)
}
