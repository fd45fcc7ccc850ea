package compose

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// rolloutWorld is a model of parents that a Rollout lets change. It knows what is true, where the
// Rollout knows what passes have said.
type rolloutWorld struct {
	tb      testing.TB
	rand    *rand.Rand
	gate    *Rollout
	metrics *telemetry.Rollout
	bound   int
	version int // what is desired
	latest  int // of all versions
	digest  string
	parents map[types.UID]*worldParent
	let     map[types.UID]bool // parents that the revision of now has let change, and that have not done so
	looked  map[types.UID]bool // parents of which a pass of that has asked or said something
	queue   map[types.UID]bool // parents for which a pass was asked for
	steps   []string
	said    string // what the gate has said when it was told last that this is another text
}

// worldParent is a parent as it is.
type worldParent struct {
	version int // what it has; 0 for nothing yet
	ready   bool
	paused  bool
	under   *worldPass
}

// worldPass is a pass that has asked, and has neither written nor said anything.
type worldPass struct {
	version int
	digest  string // of the revision
	failed  bool   // it is not known what is desired
	held    bool
	apart   bool // the parent is paused
}

func newRolloutWorld(tb testing.TB, seed uint64, parents, bound int) *rolloutWorld {
	w := &rolloutWorld{
		tb: tb, rand: rand.New(rand.NewPCG(seed, 1)), gate: &Rollout{now: time.Now}, bound: bound, version: 1, latest: 1,
		metrics: telemetry.NewMetrics(prometheus.NewRegistry()).Controller(definition).Rollout(),
		parents: map[types.UID]*worldParent{}, queue: map[types.UID]bool{},
	}
	w.gate.OnChanged(func() { w.said = w.gate.Describe() })
	for i := range parents {
		w.parents[types.UID(fmt.Sprint(i))] = &worldParent{version: 1, ready: true}
	}
	w.begin()
	return w
}

func (w *rolloutWorld) uids() []types.UID {
	var all []types.UID
	for uid := range w.parents {
		all = append(all, uid)
	}
	slices.Sort(all)
	return all
}

// begin lets another revision handle parents.
func (w *rolloutWorld) begin() {
	w.digest += "x"
	w.let, w.looked = map[types.UID]bool{}, map[types.UID]bool{}
	w.gate.begin(rolloutTerm{
		limits: &config.Rollout{MaxUnavailable: config.Share{Number: w.bound}}, digest: w.digest, metrics: w.metrics,
		exists: func() (keys []kube.Key) {
			for uid, p := range w.parents {
				if !p.paused {
					keys = append(keys, kube.Key{Name: string(uid)})
				}
			}
			return keys
		},
		call: func(key kube.Key) { w.queue[types.UID(key.Name)] = true },
	})
	for uid, p := range w.parents {
		if p.paused {
			w.looked[uid] = true // Nobody waits for it.
		}
	}
	w.callAll()
}

// callAll asks for a pass of every parent.
func (w *rolloutWorld) callAll() {
	for uid := range w.parents {
		w.queue[uid] = true
	}
}

func (w *rolloutWorld) logf(format string, args ...any) {
	w.steps = append(w.steps, fmt.Sprintf(format, args...))
}

// check fails the test if too many parents are not ready, or if nobody was told how it stands.
func (w *rolloutWorld) check() {
	w.tb.Helper()
	down := 0
	for _, p := range w.parents {
		if !p.ready && !p.paused {
			down++
		}
	}
	if says := w.gate.Describe(); says != w.said {
		w.tb.Fatalf("it says %q, and was %q when that was told, after:\n%v", says, w.said, w.steps)
	}
	if down > w.bound {
		w.tb.Fatalf("%d parents are not ready, of %d that may be, after:\n%v", down, w.bound, w.steps)
	}
}

// ask begins a pass.
func (w *rolloutWorld) ask(uid types.UID) {
	p := w.parents[uid]
	delete(w.queue, uid)
	p.under = &worldPass{version: w.version, digest: w.digest, apart: p.paused}
	if p.version != w.version && !p.paused {
		p.under.held = w.gate.holds(rolloutQuestion{
			key: kube.Key{Name: string(uid)}, uid: uid, digest: w.digest, desired: fmt.Sprint(w.version), ready: p.ready,
			isNew: func() bool { return p.version == 0 }, wished: func() bool { return false }, since: time.Now,
		})
		w.looked[uid] = true
		if !p.under.held && !w.let[uid] && len(w.looked) < len(w.parents) {
			w.tb.Fatalf("%s is let through when %d of %d were looked at, after:\n%v", uid, len(w.looked), len(w.parents), w.steps)
		}
		w.let[uid] = !p.under.held
	}
	w.logf("ask %s for %d: held %t", uid, w.version, p.under.held)
}

// fail lets a pass fail before it knows what is desired. It is tried again.
func (w *rolloutWorld) fail(uid types.UID) {
	w.queue[uid] = true
	w.parents[uid].under = &worldPass{digest: w.digest, failed: true}
	w.logf("%s fails", uid)
	w.say(uid)
}

// write does what a pass may do. ready is whether the parent is ready at once.
func (w *rolloutWorld) write(uid types.UID, ready bool) {
	p := w.parents[uid]
	if !p.under.held && !p.under.apart && p.version != p.under.version {
		p.version, p.ready = p.under.version, ready
		w.logf("write %s: %d, ready %t", uid, p.version, ready)
	}
	w.check()
}

// say ends a pass.
func (w *rolloutWorld) say(uid types.UID) {
	p := w.parents[uid]
	under := p.under
	p.under = nil
	current := !under.failed && p.version == under.version
	w.gate.say(rolloutWord{
		key: kube.Key{Name: string(uid)}, uid: uid, digest: under.digest, desired: fmt.Sprint(under.version),
		apart: under.apart, held: under.held, current: current, ready: current && p.ready, since: time.Now,
	})
	if under.digest == w.digest {
		w.looked[uid] = true
		w.let[uid] = w.let[uid] && !current
	}
	w.logf("say %s: current %t, ready %t", uid, current, p.ready)
}

// recover makes a parent ready, which is an event.
func (w *rolloutWorld) recover(uid types.UID) {
	if p := w.parents[uid]; !p.ready && p.under == nil {
		p.ready, w.queue[uid] = true, true
		w.logf("%s is ready", uid)
	}
}

// pause sets a parent apart, or ends that: it is ready then, whatever it has.
func (w *rolloutWorld) pause(uid types.UID) {
	p := w.parents[uid]
	p.paused = !p.paused
	p.ready = p.ready || !p.paused
	w.looked[uid], w.let[uid], w.queue[uid] = true, false, true
	w.logf("%s is paused: %t", uid, p.paused)
}

// crash ends the process and begins another one. What was asked for may have been written.
func (w *rolloutWorld) crash() {
	for _, uid := range w.uids() {
		if p := w.parents[uid]; p.under != nil {
			if w.rand.IntN(2) == 0 {
				w.write(uid, false)
			}
			p.under = nil
		}
	}
	w.gate.clear()
	clear(w.queue)
	w.logf("crash")
	w.begin()
}

// step does something that may happen.
func (w *rolloutWorld) step(what int) {
	uids := w.uids()
	uid := uids[w.rand.IntN(len(uids))]
	p := w.parents[uid]
	switch {
	case what < 55 && p.under == nil:
		idle := slices.DeleteFunc(uids, func(uid types.UID) bool { return !w.queue[uid] || w.parents[uid].under != nil })
		if len(idle) > 0 {
			w.ask(idle[w.rand.IntN(len(idle))])
		}
	case what < 85 && p.under != nil:
		if w.write(uid, w.rand.IntN(3) == 0); w.rand.IntN(4) > 0 {
			w.say(uid)
		}
	case what < 93:
		w.recover(uid)
	case what < 95:
		w.crash()
	case what < 97:
		if w.latest++; w.rand.IntN(2) == 0 {
			w.version = w.latest
		} else {
			w.version = 1 + w.rand.IntN(w.latest) // Back to an earlier one.
		}
		w.logf("version %d", w.version)
		switch w.rand.IntN(3) {
		case 0: // A hook gives another answer.
			w.callAll()
		case 1: // So it does, after it has failed for all.
			for _, uid := range uids {
				if p := w.parents[uid]; p.under == nil && !p.paused {
					w.fail(uid)
				}
			}
			w.callAll()
		default:
			w.begin()
		}
	case what == 97 && p.under == nil:
		w.pause(uid)
	case what == 98 && p.under == nil && !p.paused:
		w.fail(uid)
	default:
		if p.under == nil { // An event that is about nothing.
			w.queue[uid] = true
		}
	}
}

// finish lets everything become ready, and fails the test if some parents never get what is
// desired, though they are not paused.
func (w *rolloutWorld) finish() {
	w.tb.Helper()
	for range 100 * len(w.parents) {
		idle := true
		for _, uid := range w.uids() {
			p := w.parents[uid]
			switch {
			case p.under != nil:
				w.write(uid, false)
				w.say(uid)
			case w.queue[uid]:
				w.ask(uid)
			case !p.ready && p.version == w.version && !p.paused:
				w.recover(uid)
			default:
				continue
			}
			idle = false
		}
		if idle {
			break
		}
	}
	for uid, p := range w.parents {
		if !p.paused && (p.version != w.version || !p.ready) {
			w.tb.Fatalf("in the end, parent %s has %d of %d, ready %t; %s\nafter:\n%v", uid, p.version, w.version, p.ready, w.gate.Describe(), w.steps)
		}
	}
	if said := w.gate.Describe(); said != "" {
		w.tb.Errorf("in the end, the rollout says %q", said)
	}
}

// FuzzRollout lets anything happen to some parents, in any order: there are never more that are not
// ready than there may be, and in the end all have what is desired.
func FuzzRollout(f *testing.F) {
	for seed := range uint64(200) {
		f.Add(seed, uint8(3+seed%12), uint8(1+seed%4), uint16(50+seed*3))
	}
	f.Fuzz(func(t *testing.T, seed uint64, parents, bound uint8, steps uint16) {
		w := newRolloutWorld(t, seed, 1+int(parents%20), 1+int(bound%5))
		for range steps % 1000 {
			w.step(w.rand.IntN(100))
			w.check()
		}
		w.finish()
	})
}
