package upstream

import "time"

// failures hold off starts that would fail again, for each principal.
type failures map[string]hold

type hold struct {
	n     int
	until time.Time
}

const (
	shortLife   = 10 * time.Second // a channel that ended by itself within it failed to start
	firstWait   = time.Second      // after the second failure in a row; then twice as long each
	longestWait = 30 * time.Second
	maxFailures = 4096 // principals that are held off at once
)

// wait is for how long no channel is to be opened.
func (f *failures) wait(principal string) time.Duration {
	return time.Until((*f)[principal].until).Round(time.Millisecond)
}

// add notes the end of a channel that lived for so long.
func (f *failures) add(principal string, lived time.Duration) {
	if lived >= shortLife {
		delete(*f, principal)
		return
	}
	if *f == nil || len(*f) >= maxFailures {
		*f = failures{}
	}
	n := (*f)[principal].n
	wait := time.Duration(0)
	if n > 0 {
		wait = min(longestWait, firstWait<<min(n-1, 10))
	}
	(*f)[principal] = hold{n + 1, time.Now().Add(wait)}
}
