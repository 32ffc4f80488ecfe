package config

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// LoadAPIKeys reads the text of a file of API keys: a list of {id, roles, sha256}, as in identity.apiKeys. more
// are keys that are known already; no digest may be in both. path is for messages.
func LoadAPIKeys(path string, text []byte, env func(string) (string, bool), more []APIKey) ([]APIKey, error) {
	l := &loader{file: path, env: env, sources: map[string]string{"": path}}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, second node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%s: is empty (write [] for no keys)", path)
	case err != nil:
		return nil, fmt.Errorf("%s: not YAML", path) // whose errors quote the file
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: more than one YAML document", path)
	}
	var keys []APIKey
	objects(&keys, (*APIKey).keys)(l, "", document.Content[0])
	known := map[[sha256.Size]byte]bool{}
	for _, k := range more {
		known[k.SHA256] = true
	}
	for i, k := range keys {
		if known[k.SHA256] {
			l.problem(fmt.Sprintf("[%d].sha256", i), "is that of another key (a key has one owner)")
		}
		known[k.SHA256] = true
	}
	return keys, errors.Join(l.problems...)
}
