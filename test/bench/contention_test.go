package main

import (
	"testing"
	"time"
)

func TestWaitedIn(t *testing.T) {
	const text = `--- mutex:
cycles/second=2000000000
sampling period=1
4000000 3 @ 0x46c5a1 0x5d1b0c 0x7c2f11
#	0x46c5a0	sync.(*Mutex).Unlock+0x40					sync/mutex.go:65
#	0x5d1b0b	kooperd.dev/kooperd/pkg/engine.(*failures).oldest+0x8b		pkg/engine/failures.go:214
#	0x7c2f10	kooperd.dev/kooperd/pkg/server/page.(*Handler).overview+0x30	pkg/server/page/requests.go:20
#	0x7c2f90	kooperd.dev/kooperd/pkg/server/page.(*Handler).bounded+0x30	pkg/server/page/answer.go:20

1000000 1 @ 0x46c5a1 0x5d1b0c
#	0x46c5a0	sync.(*Mutex).Unlock+0x40					sync/mutex.go:65
#	0x5d1b0b	kooperd.dev/kooperd/pkg/engine.(*failures).add+0x8b		pkg/engine/failures.go:80

600000 1 @ 0x46c5a1 0x5d1b0c
#	0x46c5a0	sync.(*RWMutex).RUnlock+0x40					sync/rwmutex.go:65
#	0x7c2f10	kooperd.dev/kooperd/pkg/server/page.(*Handler).search+0x30	pkg/server/page/requests.go:20
`
	for through, want := range map[string]time.Duration{
		"kooperd/pkg/server/page.": 2300 * time.Microsecond, "(*failures).": 2500 * time.Microsecond, "net/http.": 0,
	} {
		if got, err := waitedIn(text, through); err != nil || got != want {
			t.Errorf("through %s there are waits of %s, %v, want %s", through, got, err, want)
		}
	}
	for _, bad := range []string{"", "404 page not found\n", "cycles/second=x\n", "cycles/second=1\nx @ 0x1\n"} {
		if got, err := waitedIn(bad, ""); err == nil {
			t.Errorf("%q: %s, want an error", bad, got)
		}
	}
}
