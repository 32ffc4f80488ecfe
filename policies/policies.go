// Package policies holds the starter policies.
package policies

import (
	"embed"
	"io/fs"
)

//go:embed *.rego data.json README.md
var files embed.FS

// FS returns the starter policies as they lie in this folder: rules, their tests, data
// and README.
func FS() fs.FS { return files }
