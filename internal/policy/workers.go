package policy

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/opa/v1/topdown"
)

// maxStuck is how many evaluations may run on past their deadline before
// further ones are refused at once.
const maxStuck = 64

// maxStuckBytes is how much those may hold in inputs before one more that is
// large is refused at once: a built-in makes many times its argument of it.
const (
	maxStuckBytes = 12 << 20
	largeInput    = 256 << 10
)

var errStuck = errors.New("too many evaluations run past their deadline")

// workers run evaluations on goroutines of their own, so that the caller has
// its answer at the deadline even if a built-in does not look at the clock.
// The goroutines are kept, with the stacks they have grown, until close.
type workers struct {
	jobs  chan func()
	done  chan struct{}
	idle  atomic.Int64
	stuck atomic.Int64
	held  atomic.Int64 // bytes of input of the stuck
}

// maxIdle is how many workers wait for the next evaluation.
var maxIdle = int64(4 * runtime.GOMAXPROCS(0))

func newWorkers() *workers {
	return &workers{jobs: make(chan func()), done: make(chan struct{})}
}

func (w *workers) close() { close(w.done) }

// within runs f about an input of so many bytes, and returns ErrTimeout when f
// has not returned in time.
func within[T any](w *workers, size int, timeout time.Duration, f func(topdown.Cancel) (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	var none T
	if w.stuck.Load() >= maxStuck || size >= largeInput && w.held.Load()+int64(size) > maxStuckBytes {
		return none, errStuck
	}
	cancel, result := topdown.NewCancel(), make(chan outcome, 1)
	w.start(func() {
		defer func() {
			if p := recover(); p != nil {
				result <- outcome{none, fmt.Errorf("panic of a %T", p)} // its text may quote the input
			}
		}()
		value, err := f(cancel)
		result <- outcome{value, err}
	})
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	select {
	case o := <-result:
		return o.value, o.err
	case <-deadline.C:
		cancel.Cancel()
		w.stuck.Add(1)
		w.held.Add(int64(size))
		go func() {
			<-result
			w.held.Add(-int64(size))
			w.stuck.Add(-1)
		}()
		return none, ErrTimeout
	}
}

// start hands the job to an idle worker, or to a new one.
func (w *workers) start(job func()) {
	select {
	case w.jobs <- job:
	default:
		go w.work(job)
	}
}

func (w *workers) work(job func()) {
	for {
		job()
		if w.idle.Add(1) > maxIdle {
			w.idle.Add(-1)
			return
		}
		select {
		case job = <-w.jobs:
			w.idle.Add(-1)
		case <-w.done:
			return
		}
	}
}
