package daemon

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// memoryLeft returns how many bytes of memory this process and its children can still take before
// the kernel has to reclaim or to kill: the least that its cgroup and those above it have left, or
// noMemoryLimit. Cached pages that have not been used for long count as left.
func memoryLeft() (uint64, error) {
	cgroups, err := os.ReadFile("/proc/self/cgroup")
	if os.IsNotExist(err) {
		return noMemoryLimit, nil
	}
	if err != nil {
		return 0, err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return 0, err
	}
	g, ok := findMemoryCgroup(string(cgroups), string(mounts))
	if !ok {
		return noMemoryLimit, nil
	}
	return g.left()
}

// memoryCgroup is the cgroup that accounts the memory of this process, as far as it can be seen
// from here.
type memoryCgroup struct {
	mount string // the highest one
	dir   string // this process's, at or below mount
	files cgroupFiles
}

// cgroupFiles are names that differ between the versions of cgroups. inactive is a field of
// memory.stat; that of version 1 is for the cgroup alone without its prefix.
type cgroupFiles struct{ limit, usage, inactive string }

var (
	cgroupV1 = cgroupFiles{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"}
	cgroupV2 = cgroupFiles{"memory.max", "memory.current", "inactive_file"}
)

// findMemoryCgroup takes the texts of /proc/self/cgroup and /proc/self/mountinfo. Where both
// versions are in use, version 1 has the memory if it has that controller at all.
func findMemoryCgroup(cgroups, mounts string) (memoryCgroup, bool) {
	var v1, v2 string
	for line := range strings.Lines(cgroups) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		switch {
		case len(parts) != 3:
		case parts[0] == "0" && parts[1] == "":
			v2 = parts[2]
		case slices.Contains(strings.Split(parts[1], ","), "memory"):
			v1 = parts[2]
		}
	}
	own, kind, files := v2, "cgroup2", cgroupV2
	if v1 != "" {
		own, kind, files = v1, "cgroup", cgroupV1
	}
	if own == "" {
		return memoryCgroup{}, false
	}
	for line := range strings.Lines(mounts) {
		before, after, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		mount, system := strings.Fields(before), strings.Fields(after)
		if len(mount) < 5 || len(system) < 3 || system[0] != kind {
			continue
		}
		if v1 != "" && !slices.Contains(strings.Split(system[2], ","), "memory") {
			continue
		}
		return memoryCgroup{mount: mount[4], dir: path.Join(mount[4], below(mount[3], own)), files: files}, true
	}
	return memoryCgroup{}, false
}

// below returns where the cgroup own is below a mount's root. What is outside of the mount, as in a
// container that sees the names of the host, is taken for the mount itself.
func below(root, own string) string {
	if rest, ok := strings.CutPrefix(own, strings.TrimSuffix(root, "/")); ok && (rest == "" || rest[0] == '/') &&
		!strings.HasPrefix(own, "/..") {
		return rest
	}
	return ""
}

func (g memoryCgroup) left() (uint64, error) {
	least := uint64(noMemoryLimit)
	for dir := g.dir; ; dir = path.Dir(dir) {
		left, err := g.leftIn(dir)
		if err != nil {
			return 0, err
		}
		if least = min(least, left); len(dir) <= len(g.mount) {
			return least, nil
		}
	}
}

// leftIn returns what one cgroup has left. The root has no limit, and no files that say so.
func (g memoryCgroup) leftIn(dir string) (uint64, error) {
	limit, err := os.ReadFile(path.Join(dir, g.files.limit))
	if os.IsNotExist(err) || strings.TrimSpace(string(limit)) == "max" {
		return noMemoryLimit, nil
	}
	if err != nil {
		return 0, err
	}
	usage, err := os.ReadFile(path.Join(dir, g.files.usage))
	if err != nil {
		return 0, err
	}
	stat, err := os.ReadFile(path.Join(dir, "memory.stat"))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut("\n"+string(stat), "\n"+g.files.inactive+" ")
	inactive, _, _ := strings.Cut(rest, "\n")
	var n [3]uint64
	for i, text := range []string{string(limit), string(usage), inactive} {
		if n[i], err = strconv.ParseUint(strings.TrimSpace(text), 10, 64); err != nil {
			return 0, fmt.Errorf("reading the memory of cgroup %s: %w", dir, err)
		}
	}
	used := n[1] - min(n[2], n[1])
	return n[0] - min(used, n[0]), nil
}
