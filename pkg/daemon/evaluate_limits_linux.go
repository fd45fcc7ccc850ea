package daemon

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// niceness is that of an evaluation: the work of the daemon comes first.
const niceness = 10

// dieWithParent makes the kernel kill the child when this process ends, however that happens. The
// caller locks its thread until the child has ended.
func dieWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// cpuGrace is how much CPU time a process has to say that it has reached its limit.
const cpuGrace = time.Second

// limitProcess bounds what this process takes from now on. At the limit of CPU time the kernel
// sends SIGXCPU, and kills the process when it has taken cpuGrace more. At that of memory, in
// bytes, the kernel refuses to give more, and the Go runtime ends the process; shortly before, the
// runtime collects garbage more often.
func limitProcess(cpu time.Duration, memory uint64) error {
	// To be slowed down and killed first is a matter of politeness, so these may fail.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0)
	beNice()
	space, err := limitHeap(memory)
	if err != nil {
		return fmt.Errorf("reading the memory of the process: %w", err)
	}
	for _, limit := range []struct {
		name       string
		resource   int
		soft, hard uint64
	}{
		{"RLIMIT_CORE", unix.RLIMIT_CORE, 0, 0},
		{"RLIMIT_CPU", unix.RLIMIT_CPU, uint64(cpu / time.Second), uint64((cpu + cpuGrace) / time.Second)},
		{"RLIMIT_AS", unix.RLIMIT_AS, space, space},
	} {
		if err := unix.Setrlimit(limit.resource, &unix.Rlimit{Cur: limit.soft, Max: limit.hard}); err != nil {
			return fmt.Errorf("setting %s: %w", limit.name, err)
		}
	}
	return nil
}

// beNice raises the nice value of every thread, which new threads inherit. It looks twice, for
// threads that others start in between.
func beNice() {
	for range 2 {
		tasks, _ := filepath.Glob("/proc/self/task/[0-9]*")
		for _, task := range tasks {
			if id, err := strconv.Atoi(filepath.Base(task)); err == nil {
				_ = unix.Setpriority(unix.PRIO_PROCESS, id, niceness)
			}
		}
	}
}

// The Go runtime reserves address space in arenas, and maps heap in them as it needs it. The kernel
// checks no limit when a reserved page is mapped, so RLIMIT_DATA does not hold; RLIMIT_AS holds for
// arenas. For a limit within an arena, part of the first one is taken away.
const (
	arenaBytes = 64 << 20
	// besideHeap is room for what the runtime maps outside of arenas: less than one arena.
	besideHeap = 48 << 20
	// mappedHeap is how much heap is mapped and not used yet: the runtime maps it in such steps.
	mappedHeap = 4 << 20
)

// heldBack is heap that is never used, and so takes address space but no memory.
var heldBack [][]byte

// holdBack adds to heldBack. The runtime may fill what it hands out with zeros, which takes memory:
// that is given back to the kernel at once, piece by piece, so that there is never much of it.
func holdBack(size uint64) {
	const piece = 1 << 20
	for range size / piece {
		held := make([]byte, piece)
		_ = unix.Madvise(held, unix.MADV_DONTNEED) // On Linux, it is for the kernel to obey.
		heldBack = append(heldBack, held)
	}
}

// limitHeap prepares the runtime for a limit, and returns the RLIMIT_AS that makes it hold.
func limitHeap(memory uint64) (space uint64, err error) {
	before, err := readOwnMemory()
	if err != nil {
		return 0, err
	}
	taken := before.resident + mappedHeap + memory/16 // The last is for what the runtime keeps on the heap.
	more := max(memory, taken) - taken
	held := (before.reserved + arenaBytes - more%arenaBytes) % arenaBytes
	holdBack(held)
	debug.SetMemoryLimit(int64(memory/10*8 + held))
	after, err := readOwnMemory()
	if err != nil {
		return 0, err
	}
	arenas := (max(more, after.reserved) - after.reserved + arenaBytes/2) / arenaBytes
	return after.space + arenas*arenaBytes + besideHeap, nil
}

// ownMemory is what this process has, in bytes.
type ownMemory struct {
	space    uint64 // address space
	resident uint64 // memory in use that is not a file's
	reserved uint64 // address space that the heap will grow into next
}

func readOwnMemory() (ownMemory, error) {
	var m ownMemory
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return m, err
	}
	if m.space, err = statusBytes(string(status), "VmSize"); err != nil {
		return m, err
	}
	if m.resident, err = statusBytes(string(status), "RssAnon"); err != nil {
		return m, err
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return m, err
	}
	m.reserved = reservedBehind(string(maps), uint64(reflect.ValueOf(maps).Pointer()))
	return m, nil
}

// statusBytes returns a size of proc_pid_status(5).
func statusBytes(status, name string) (uint64, error) {
	_, rest, _ := strings.Cut("\n"+status, "\n"+name+":")
	line, _, _ := strings.Cut(rest, "\n")
	number, ok := strings.CutSuffix(strings.TrimSpace(line), " kB")
	if !ok {
		return 0, fmt.Errorf("no %s in /proc/self/status", name)
	}
	n, err := strconv.ParseUint(number, 10, 64)
	return n << 10, err
}

// reservedBehind returns how long the mapping without access is that follows the one with the
// address, in the text of proc_pid_maps(5). There may be none.
func reservedBehind(maps string, address uint64) uint64 {
	var heapEnd uint64
	for line := range strings.Lines(maps) {
		var begin, end uint64
		var access string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &begin, &end, &access); err != nil {
			return 0
		}
		switch {
		case begin <= address && address < end:
			heapEnd = end
		case heapEnd != 0 && begin == heapEnd && access == "---p":
			return end - begin
		case heapEnd != 0:
			return 0
		}
	}
	return 0
}
