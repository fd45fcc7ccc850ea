package election

import (
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
)

// foreignEdits are what people and tools do to a Lease that shortens it, or seems to. None of it is
// a release.
var foreignEdits = map[string]func(*coordinationv1.Lease){
	"holder emptied":    func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = new("") },
	"holder removed":    func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = nil },
	"spec emptied":      func(l *coordinationv1.Lease) { l.Spec = coordinationv1.LeaseSpec{} },
	"shortened":         seconds(1),
	"duration zero":     seconds(0),
	"duration negative": seconds(-5),
	"duration removed":  func(l *coordinationv1.Lease) { l.Spec.LeaseDurationSeconds = nil },
	"times removed":     func(l *coordinationv1.Lease) { l.Spec.AcquireTime, l.Spec.RenewTime = nil, nil },
	"renewTime removed": func(l *coordinationv1.Lease) { l.Spec.RenewTime = nil },
	"renewed long ago":  renewedAt(time.Unix(1, 0)),
	"renewed and shortened": func(l *coordinationv1.Lease) {
		renewedAt(time.Now())(l)
		seconds(1)(l)
	},
	"transitions lowered": transitions(-7),
	"emptied and shortened": func(l *coordinationv1.Lease) {
		l.Spec.HolderIdentity = nil
		seconds(1)(l)
	},
	"emptied, shortened, times removed": func(l *coordinationv1.Lease) {
		record{seconds: 1, transitions: recordOf(l).transitions}.writeTo(l)
		l.Spec.AcquireTime, l.Spec.RenewTime = nil, nil
	},
	"given away": func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = new("x") },
	"given away for a second": func(l *coordinationv1.Lease) {
		l.Spec.HolderIdentity = new("x")
		seconds(1)(l)
	},
	"given to the standby": func(l *coordinationv1.Lease) {
		l.Spec.HolderIdentity = new("b")
		seconds(1)(l)
	},
	"annotation of the config map emptied":    annotated(""),
	"annotation of the config map unreadable": annotated(`{"holderIdentity":5}`),
	"annotation of the config map removed": func(l *coordinationv1.Lease) {
		asConfigMap(l, func(cm *corev1.ConfigMap) { delete(cm.Annotations, leaderAnnotation) })
	},
	"annotation of the config map without a holder": annotated(`{"leaseDurationSeconds":1}`),
	"annotation of the config map null":             annotated(`null`),
}

// annotated writes text into the annotation, as if the lock was a ConfigMap.
func annotated(text string) func(*coordinationv1.Lease) {
	return func(l *coordinationv1.Lease) {
		asConfigMap(l, func(cm *corev1.ConfigMap) { cm.Annotations[leaderAnnotation] = text })
	}
}

func asConfigMap(l *coordinationv1.Lease, change func(*corev1.ConfigMap)) {
	object, err := configMapLock{}.encode(l)
	if err != nil {
		panic(err)
	}
	cm, ok := object.(*corev1.ConfigMap)
	if !ok {
		panic("not a config map")
	}
	change(cm)
	edited, err := configMapLock{}.decode(cm)
	if err != nil {
		panic(err)
	}
	l.Spec = edited.Spec
}

// audience is how a standby learns of an edit.
type audience struct {
	before func(b *testElector) // when the leader has taken the Lease
	edited func(b *testElector) // a moment after the edit
	fresh  bool                 // it has seen nothing of what was before
}

var audiences = map[string]audience{
	"watching": {before: (*testElector).start, edited: func(*testElector) {}},
	"watch was away": {
		before: func(b *testElector) { b.start(); synctest.Wait(); b.link.cut() },
		edited: func(b *testElector) { b.link.mend() },
	},
	"fresh process": {before: func(*testElector) {}, edited: (*testElector).start, fresh: true},
}

// TestForeignEditNeverShortensATenure edits the Lease of a leader that does not hear of it and
// works until its deadline.
func TestForeignEditNeverShortensATenure(t *testing.T) {
	for name, edit := range foreignEdits {
		for who, audience := range audiences {
			if name == "given to the standby" && audience.fresh {
				continue // as if it had been restarted in place: see law 10
			}
			for when, since := range map[string]time.Duration{"at the beginning": time.Second, "after renewals": 14*time.Second + moment} {
				t.Run(name+"/"+who+"/"+when, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { editBehindALeader(t, edit, audience, since) })
				})
			}
		}
	}
}

func editBehindALeader(t *testing.T, edit func(*coordinationv1.Lease), to audience, since time.Duration) {
	s := newServer()
	a, b := newTestElector(t, s, "a"), newTestElector(t, s, "b")
	a.start()
	a.leads()
	to.before(b)
	time.Sleep(since)
	a.link.cut()
	s.edit(edit)
	edited := time.Now()
	to.edited(b)
	b.leads()
	if a.Leading() {
		t.Errorf("two leaders, %s after the edit", time.Since(edited))
	}
	limit := 15*time.Second + 2*DefaultRetryPeriod
	if s.history()[len(s.history())-2].rec.holder == unreadableHolder {
		limit = unreadableSeconds*time.Second + 2*DefaultRetryPeriod
	}
	if took := time.Since(edited); took < 15*time.Second || took > limit {
		t.Errorf("led %s after the edit, want a lease duration", took)
	}
	a.wantLost(ReasonDeadline)
	if err := b.stop(); err != nil {
		t.Error(err)
	}
}

// TestSeveralForeignEdits is about edits of which the last alone would pass for something else.
func TestSeveralForeignEdits(t *testing.T) {
	tests := map[string]func(s *server){
		"emptied, then shortened": func(s *server) {
			s.edit(func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = nil })
			s.edit(seconds(1))
		},
		"given away, then emptied": func(s *server) {
			s.edit(steal)
			s.edit(func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = nil })
		},
		"given away for 68 years, then emptied": func(s *server) {
			s.edit(steal)
			s.edit(seconds(1<<31 - 1))
			s.edit(func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = nil })
		},
		"given away for 68 years, then deleted": func(s *server) {
			s.edit(steal)
			s.edit(seconds(1<<31 - 1))
			s.delete()
		},
		"deleted, then made anew with nothing in it": func(s *server) {
			s.delete()
			s.put(coordinationv1.LeaseSpec{})
		},
		"deleted, then made anew as released": func(s *server) {
			s.delete()
			s.put(releasedSpec())
		},
		"an old release written back": func(s *server) {
			s.edit(func(l *coordinationv1.Lease) {
				release(l)
				l.Spec.LeaseTransitions = new(recordOf(l).transitions - 1)
			})
		},
	}
	for name, edit := range tests {
		for who, audience := range audiences {
			if audience.fresh {
				continue
			}
			t.Run(name+"/"+who, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newServer()
					s.put(releasedSpec())
					a, b := newTestElector(t, s, "a"), newTestElector(t, s, "b")
					a.start()
					a.leads()
					audience.before(b)
					time.Sleep(time.Second)
					a.link.cut()
					edit(s)
					edited := time.Now()
					audience.edited(b)
					b.leads()
					if a.Leading() {
						t.Errorf("two leaders, %s after the edit", time.Since(edited))
					}
					if took := time.Since(edited); took > 15*time.Second+2*DefaultRetryPeriod {
						t.Errorf("led %s after the edit, want a lease duration", took)
					}
					a.wantLost(ReasonDeadline)
					if err := b.stop(); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}
