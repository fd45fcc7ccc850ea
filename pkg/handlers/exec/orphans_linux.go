package exec

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// orphanAge is how long a zombie is left to code of this process that may have started it.
	// After that it counts as an orphan.
	orphanAge = time.Minute
	// orphanScanPeriod is the least time between two looks at the processes.
	orphanScanPeriod = 10 * time.Second
)

// orphans reaps what programs have left behind, when the daemon is process 1 of its container and
// so becomes the parent of every orphan. See
// docs/decisions/0014-orphans-are-reaped-after-a-minute.md.
var orphans = orphanReaper{now: time.Now, adopts: func() bool { return os.Getpid() == 1 }}

// orphanReaper collects the exit statuses of ended processes that nothing else waits for: those
// that are in another group than this process and have been zombies for orphanAge. Programs that
// are started in its own group, as credential plugins are, are never touched.
type orphanReaper struct {
	now    func() time.Time
	adopts func() bool // reports whether orphans become children of this process

	mu      sync.Mutex
	scanned time.Time
	zombies map[zombie]time.Time // since when each is known
}

// zombie identifies an ended process: numbers are used again.
type zombie struct {
	pid     int
	started string
}

// reap looks at the processes, unless it has done so just now.
func (r *orphanReaper) reap() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if now.Sub(r.scanned) < orphanScanPeriod || !r.adopts() {
		return
	}
	r.scanned = now
	known := r.zombies
	r.zombies = map[zombie]time.Time{}
	for _, z := range zombieChildren() {
		since, ok := known[z]
		if !ok {
			since = now
		}
		if now.Sub(since) < orphanAge {
			r.zombies[z] = since
			continue
		}
		_, _ = unix.Wait4(z.pid, nil, unix.WNOHANG, nil) // It may be gone by now, which is as well.
	}
}

// zombieChildren returns the ended children of this process that are in another process group.
func zombieChildren() []zombie {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil
	}
	var found []zombie
	self, group := os.Getpid(), unix.Getpgrp()
	for _, file := range files {
		stat, err := readStat(file)
		if err == nil && stat.state == "Z" && stat.parent == self && stat.group != group {
			found = append(found, zombie{pid: stat.pid, started: stat.started})
		}
	}
	return found
}

// procStat is what is needed of /proc/PID/stat.
type procStat struct {
	pid, parent, group int
	state, started     string
}

var errStat = errors.New("want the fields of proc_pid_stat(5)")

func readStat(file string) (procStat, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return procStat{}, err
	}
	// The name is in parentheses and may contain anything, so the last one ends it.
	number, _, _ := bytes.Cut(b, []byte(" "))
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 20 {
		return procStat{}, fmt.Errorf("reading %s: %w", file, errStat)
	}
	stat := procStat{state: string(fields[0]), started: string(fields[19])}
	for i, into := range []*int{&stat.pid, &stat.parent, &stat.group} {
		if *into, err = strconv.Atoi(string([][]byte{number, fields[1], fields[2]}[i])); err != nil {
			return procStat{}, fmt.Errorf("reading %s: %w", file, err)
		}
	}
	return stat, nil
}
