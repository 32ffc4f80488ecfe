package deploy

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Every action is pinned by the commit, with its version beside it, and no job has rights that nobody gave it.
func TestWorkflows(t *testing.T) {
	files, err := filepath.Glob(root + "/.github/workflows/*.yml")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	uses, pinned := regexp.MustCompile(`(?m)\buses:.*$`), regexp.MustCompile(`^uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	for _, file := range append(files, root+"/cmd/gatehouse/policy_init.yml") {
		text := read(t, file)
		for _, line := range uses.FindAllString(text, -1) {
			if !pinned.MatchString(line) {
				t.Errorf("%s: %s", file, line)
			}
		}
		var workflow struct{ Permissions map[string]string }
		if err := yaml.Unmarshal([]byte(text), &workflow); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if workflow.Permissions == nil || slices.Contains(slices.Collect(maps.Values(workflow.Permissions)), "write") {
			t.Errorf("%s: permissions of all jobs: %v", file, workflow.Permissions)
		}
	}
}
