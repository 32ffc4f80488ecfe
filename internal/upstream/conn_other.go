//go:build !unix

package upstream

const canLook = false

func (*conn) isQuiet() bool { return false }
