package daemon

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFindMemoryCgroup(t *testing.T) {
	const cpu = "32 31 0:28 / /sys/fs/cgroup/cpu rw,relatime - cgroup none rw,cpu\n"
	tests := map[string]struct {
		cgroups, mounts string
		want            memoryCgroup
		none            bool
	}{
		"v2 in a namespace": {
			"0::/\n", "30 23 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 none rw,nsdelegate\n",
			memoryCgroup{"/sys/fs/cgroup", "/sys/fs/cgroup", cgroupV2}, false,
		},
		"v2 of a host": {
			"0::/system.slice/kooperd.service\n", "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 none rw\n",
			memoryCgroup{"/sys/fs/cgroup", "/sys/fs/cgroup/system.slice/kooperd.service", cgroupV2}, false,
		},
		"v2 outside of the namespace": {
			"0::/../other\n", "30 23 0:26 /.. /sys/fs/cgroup rw - cgroup2 none rw\n",
			memoryCgroup{"/sys/fs/cgroup", "/sys/fs/cgroup", cgroupV2}, false,
		},
		"v1 of a container": {
			"5:cpu:/kubepods/a\n4:memory:/kubepods/a/b\n",
			cpu + "33 32 0:29 /kubepods/a/b /sys/fs/cgroup/memory ro - cgroup none rw,memory\n",
			memoryCgroup{"/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory", cgroupV1}, false,
		},
		"both": {
			"4:memory:/a\n0::/\n", cpu + "40 32 0:39 / /sys/fs/cgroup/unified rw - cgroup2 none rw\n" +
				"33 32 0:29 / /sys/fs/cgroup/memory rw - cgroup none rw,memory\n",
			memoryCgroup{"/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory/a", cgroupV1}, false,
		},
		"a name that begins like the root": {
			"4:memory:/abc\n", "33 32 0:29 /ab /sys/fs/cgroup/memory rw - cgroup none rw,memory\n",
			memoryCgroup{"/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory", cgroupV1}, false,
		},
		"not mounted": {"0::/\n", cpu, memoryCgroup{}, true},
		"no memory":   {"5:cpu:/\n", cpu, memoryCgroup{}, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			have, ok := findMemoryCgroup(tc.cgroups, tc.mounts)
			if have != tc.want || ok == tc.none {
				t.Errorf("the cgroup is %+v, %t, want %+v", have, ok, tc.want)
			}
		})
	}
}

func TestMemoryLeftInCgroup(t *testing.T) {
	tests := map[string]struct {
		files cgroupFiles
		texts map[string]string // by file below the mount
		want  uint64
	}{
		"v2": {cgroupV2, map[string]string{
			"a/b/memory.max": "1000\n", "a/b/memory.current": "600\n", "a/b/memory.stat": "anon 300\ninactive_file 100\nactive_file 200\n",
		}, 500},
		"v2, least above": {cgroupV2, map[string]string{
			"a/b/memory.max": "1000\n", "a/b/memory.current": "600\n", "a/b/memory.stat": "inactive_file 100\n",
			"a/memory.max": "2000\n", "a/memory.current": "1990\n", "a/memory.stat": "inactive_file 10\n",
		}, 20},
		"v2, no limit": {cgroupV2, map[string]string{"a/b/memory.max": "max\n"}, noMemoryLimit},
		"v2, over the limit": {cgroupV2, map[string]string{
			"a/b/memory.max": "1000\n", "a/b/memory.current": "1600\n", "a/b/memory.stat": "inactive_file 100\n",
		}, 0},
		"v1": {cgroupV1, map[string]string{
			"a/b/memory.limit_in_bytes": "1000\n", "a/b/memory.usage_in_bytes": "600\n",
			"a/b/memory.stat": "inactive_file 1\nhierarchical_memory_limit 1000\ntotal_inactive_file 100\n",
		}, 500},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			mount := t.TempDir()
			for file, text := range tc.texts {
				file = filepath.Join(mount, file)
				if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			have, err := memoryCgroup{mount, filepath.Join(mount, "a", "b"), tc.files}.left()
			if err != nil || have != tc.want {
				t.Errorf("there is %d left (%v), want %d", have, err, tc.want)
			}
		})
	}
}

// TestMemoryLeftHere reads that of this process, whatever it is.
func TestMemoryLeftHere(t *testing.T) {
	if left, err := memoryLeft(); err != nil || left == 0 {
		t.Errorf("there is %d left (%v)", left, err)
	}
}
