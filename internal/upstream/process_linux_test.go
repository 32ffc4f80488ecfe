package upstream

import "testing"

// A process that takes too much memory is ended, and it is told why.
func TestProcessMemory(t *testing.T) {
	t.Parallel()
	c := command("hungry")
	c.Memory = 128 << 20
	p := start(t, c)
	if _, err := p.Read(); err == nil || err.Error() != "it used more memory than it may" {
		t.Errorf("its end is told as %v", err)
	}
}
