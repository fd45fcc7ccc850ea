package daemon

import "testing"

func TestReservedBehind(t *testing.T) {
	const maps = "00400000-01c00000 r-xp 00000000 fe:00 11120696  /bin/kooperd\n" +
		"219f3d400000-219f3dc00000 rw-p 00000000 00:00 0 \n" +
		"219f3dc00000-219f40000000 ---p 00000000 00:00 0 \n" +
		"7fcc739a0000-7fcc73c00000 rw-p 00000000 00:00 0 \n" +
		"7fcc73d00000-7fcc75c00000 ---p 00000000 00:00 0 \n" +
		"7ffefaa7f000-7ffefaaa0000 rw-p 00000000 00:00 0  [stack]\n"
	tests := map[string]struct{ address, want uint64 }{
		"heap":                 {0x219f3d400100, 0x2400000},
		"nothing behind it":    {0x7fcc739a0000, 0},
		"last":                 {0x7ffefaa7f000, 0},
		"other mapping behind": {0x219f3dc00000, 0},
		"not mapped":           {0x100, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if have := reservedBehind(maps, tc.address); have != tc.want {
				t.Errorf("%#x bytes are reserved behind it, want %#x", have, tc.want)
			}
		})
	}
}
