package upstream

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// endWithUs has the process asked to end when the gateway dies without a chance to
// do so itself.
func endWithUs(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGTERM }

// bindThread keeps the thread that starts a process until that has ended: to the
// kernel, the thread is the parent whose death tells.
func bindThread() (release func()) {
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}

// residentMemory is what a process and its children have in memory for themselves,
// in bytes. What cannot be read counts as nothing.
func residentMemory(pid int) int64 {
	var size, resident, shared int64
	if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid)); err == nil {
		_, _ = fmt.Sscan(string(text), &size, &resident, &shared)
	}
	sum := (resident - shared) * int64(os.Getpagesize())
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, child := range strings.Fields(string(children)) {
		if n, err := strconv.Atoi(child); err == nil {
			sum += residentMemory(n)
		}
	}
	return sum
}
