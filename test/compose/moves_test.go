package compose_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/compose/parts"
)

// The definitions between which children move.
const (
	donorName = "site"
	heirName  = "network"
)

// donor is the definition that children come from.
func donor(children ...parts.Child) definition {
	return definition{Config: parts.Config{Children: children}}
}

// heir is the definition that takes them over.
func heir(children ...parts.Child) definition {
	return definition{
		Config:   parts.Config{Children: children},
		settings: map[string]any{"status": "none", "formerly": []string{donorName}},
	}
}

// withOwned is a definition that may make objects of another kind, too.
func (d definition) withOwned(resource schema.GroupVersionResource, kind string) definition {
	d.Owns = []parts.Owns{{APIVersion: "v1", Kind: "ConfigMap"}, {APIVersion: resource.GroupVersion().String(), Kind: kind}}
	return d
}

// handled waits until definitions have gone through a whole pass for a parent that began after the
// call, and another has begun.
func (p *replica) handled(t *testing.T, parent string, definitions ...string) {
	t.Helper()
	for range 2 {
		touch := p.rig.touch(t, parent)
		for _, name := range definitions {
			p.Await(t, "a call of "+name+" for "+parent, func() bool {
				return p.rig.record.has(t, func(c parts.Call) bool {
					return c.Process == p.Pid() && c.Object == parent && c.Touch == touch && c.Definition == name
				})
			})
		}
	}
}

// moved waits until children are those of the heir, and checks that they are the same objects, and
// that nothing else was written since mark than one apply of each.
func (r *rig) moved(t *testing.T, p *replica, mark cluster.AuditMark, before map[string]types.UID) {
	t.Helper()
	now := r.await(t, configMaps, "the children to be those of the heir", func(o objects) bool {
		for name := range before {
			if o[name] == nil || o[name].GetLabels()[definitionLabel] != heirName {
				return false
			}
		}
		return true
	})
	var want []string
	for name, uid := range before {
		if now[name].GetUID() != uid {
			t.Errorf("%s is another object", name)
		}
		p.handled(t, name[:1], donorName, heirName)
		want = append(want, fmt.Sprintf("patch configmaps %s: 200", name))
	}
	var got []string
	written := r.writes(t, mark)
	for i, w := range written {
		if w.resource == "configmaps" {
			// There is nobody to answer when a process is killed. What was asked for may be done,
			// or is asked for again.
			if w.code == http.StatusGatewayTimeout {
				if slices.ContainsFunc(written[i+1:], func(later sent) bool { return later.name == w.name }) {
					continue
				}
				w.code = http.StatusOK
			}
			got = append(got, w.String())
		} else if !strings.HasPrefix(w.resource, "things") {
			t.Errorf("there is another write: %v", w)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("children are written by %q, want %q", got, want)
	}
}

// uids are those of objects.
func (r *rig) uids(t *testing.T, names ...string) map[string]types.UID {
	t.Helper()
	all := map[string]types.UID{}
	for _, name := range names {
		all[name] = r.get(t, configMaps, name).GetUID()
	}
	return all
}

// newDonor is a rig with parents p and q, and a process in which the donor has made a child that
// stays and one that is going to move.
func newDonor(t *testing.T) (*rig, *replica) {
	t.Helper()
	r := newRig(t)
	r.defineAll(t, map[string]definition{donorName: donor(configMap("stays"), configMap("net"))})
	p := r.start(t)
	for _, name := range []string{"p", "q"} {
		r.thing(t, name, "x")
		r.ready(t, name)
	}
	p.handled(t, "q", donorName)
	return r, p
}

// TestMove moves a child to another definition in one change of the file. It stays the same object,
// with one apply, and what is left of the move in the file leads to no write after a restart.
func TestMove(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"reload", "restart", "kill"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			r, p := newDonor(t)
			before := r.uids(t, "p-net", "q-net")
			mark := shared.AuditMark(t)
			if how == "restart" {
				p.Stop(t)
			}
			r.defineAll(t, map[string]definition{donorName: donor(configMap("stays")), heirName: heir(configMap("net"))})
			switch how {
			case "restart":
				p = r.start(t)
			case "kill":
				p.reload(t)
				p.kill9(t)
				p = r.start(t)
			default:
				p.reload(t)
			}
			r.moved(t, p, mark, before)
			for _, w := range r.writes(t, mark) {
				if how != "kill" && w.resource != "configmaps" {
					t.Errorf("there is another write: %v", w)
				}
			}

			p.kill9(t)
			mark = shared.AuditMark(t)
			p = r.start(t)
			p.handled(t, "p", donorName, heirName)
			p.handled(t, "q", donorName, heirName)
			r.noWrites(t, mark, "after a restart")

			// It goes when the heir does not want it any more.
			r.defineAll(t, map[string]definition{donorName: donor(configMap("stays")), heirName: heir()})
			p.reload(t)
			r.await(t, configMaps, "the child to go", func(o objects) bool { return o["p-net"] == nil && o["q-net"] == nil })
		})
	}
}

// TestMoveToAPendingDefinition has an heir whose kind of children is not served for a while: the
// donor works, and keeps what the heir may take over, also after a restart.
func TestMoveToAPendingDefinition(t *testing.T) {
	t.Parallel()
	for _, wanted := range []bool{true, false} {
		if !wanted && !conformance {
			continue
		}
		t.Run(fmt.Sprintf("wanted %t", wanted), func(t *testing.T) {
			t.Parallel()
			r, p := newDonor(t)
			before := r.uids(t, "p-net", "q-net")
			passings := schema.GroupVersionResource{Group: r.namespace + ".example.com", Version: "v1", Resource: "passings"}
			mark := shared.AuditMark(t)
			heir := heir().withOwned(passings, "Passing")
			if wanted {
				heir.Children = []parts.Child{configMap("net")}
			}
			r.defineAll(t, map[string]definition{donorName: donor(configMap("stays"), configMap("new")), heirName: heir})
			p.reload(t)
			r.await(t, configMaps, "what the donor wants to be made", func(o objects) bool { return o["p-new"] != nil && o["q-new"] != nil })
			waits := func(o objects) bool {
				status, reason, message := o.condition("p", "Progressing")
				return status == "True" && reason == "Moving" && strings.Contains(message, "p-net") && strings.Contains(message, heirName)
			}
			r.await(t, things, "a condition that says what is waited for", waits)
			p.kill9(t)
			p = r.start(t)
			p.handled(t, "p", donorName)
			r.await(t, things, "the condition after a restart", waits)
			for _, w := range r.writes(t, mark) {
				if strings.HasSuffix(w.name, "-net") {
					t.Errorf("while the heir is pending, there is a write: %v", w)
				}
			}

			mark = shared.AuditMark(t)
			shared.Apply(t, fmt.Sprintf(passingDefinition, r.namespace))
			if wanted {
				r.moved(t, p, mark, before)
			} else {
				r.await(t, configMaps, "the donor to delete what nobody wants", func(o objects) bool { return o["p-net"] == nil && o["q-net"] == nil })
			}
			r.await(t, things, "the end of the condition", func(o objects) bool {
				status, _, _ := o.condition("p", "Progressing")
				return status == "False"
			})
		})
	}
}

// TestMoveFromAPendingDefinition has a donor whose change waits: the heir takes nothing of what the
// donor as it was wants, and is called when the change takes effect. So it is where the donor wants
// the child as the file has it.
func TestMoveFromAPendingDefinition(t *testing.T) {
	t.Parallel()
	for _, pending := range []bool{true, false} {
		t.Run(map[bool]string{true: "pending", false: "it goes on to want the child"}[pending], func(t *testing.T) {
			t.Parallel()
			r, p := newDonor(t)
			before := r.uids(t, "p-net", "q-net")
			passings := schema.GroupVersionResource{Group: r.namespace + ".example.com", Version: "v1", Resource: "passings"}
			mark := shared.AuditMark(t)
			now := map[string]definition{donorName: donor(configMap("stays")), heirName: heir(configMap("net"))}
			if pending {
				now[donorName] = now[donorName].withOwned(passings, "Passing")
			} else {
				now[donorName] = donor(configMap("stays"), configMap("net"))
			}
			r.defineAll(t, now)
			p.reload(t)
			p.handled(t, "p", donorName, heirName)
			p.handled(t, "q", donorName, heirName)
			r.noWrites(t, mark, "while the donor wants it")
			if pending {
				shared.Apply(t, fmt.Sprintf(passingDefinition, r.namespace))
			} else {
				r.awaitWarning(t, p, "p", "Refused", "p-net", "definition "+donorName, "wants it itself")
				now[donorName] = donor(configMap("stays"))
				r.defineAll(t, now)
				p.reload(t)
			}
			r.moved(t, p, mark, before)
		})
	}
}

// TestMoveOfSomeParents has an heir that handles only one of the parents: of the other, the donor
// deletes what it does not want any more.
func TestMoveOfSomeParents(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"labelSelector", "where"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			r, p := newDonor(t)
			r.patch(t, things, "p", `{"metadata": {"labels": {"chosen": ""}}}`)
			before := r.uids(t, "p-net")
			heir := heir(configMap("net"))
			if by == "where" {
				heir.settings["where"] = "has(object.metadata.labels) && 'chosen' in object.metadata.labels"
			} else {
				heir.settings["watch"] = map[string]any{
					"apiVersion": things.GroupVersion().String(), "kind": "Thing", "namespaces": []string{r.namespace}, "labelSelector": "chosen",
				}
			}
			r.defineAll(t, map[string]definition{donorName: donor(configMap("stays")), heirName: heir})
			p.reload(t)
			r.await(t, configMaps, "the child of the other parent to go", func(o objects) bool { return o["q-net"] == nil })
			r.await(t, configMaps, "the child to be that of the heir", func(o objects) bool {
				return o["p-net"].GetLabels()[definitionLabel] == heirName && o["p-net"].GetUID() == before["p-net"]
			})
		})
	}
}

// TestMoveOfFinished moves a Job that has finished and is gone: it is not run again.
func TestMoveOfFinished(t *testing.T) {
	t.Parallel()
	for _, restarts := range []bool{false, true} {
		t.Run(map[bool]string{false: "reload", true: "restart"}[restarts], func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.defineAll(t, map[string]definition{donorName: donor(configMap("stays"), job("run", "")).withOwned(jobs, "Job")})
			p := r.start(t)
			r.thing(t, "p", "x")
			r.await(t, jobs, "the Job", func(o objects) bool { return o["p-run"] != nil })
			r.finish(t, "p-run", "Complete")
			r.await(t, things, "the note of the Job", func(o objects) bool { return noted(o, "p") != "" })
			r.expire(t, "p-run")
			p.handled(t, "p", donorName)

			mark := shared.AuditMark(t)
			if restarts {
				p.kill9(t)
			}
			r.defineAll(t, map[string]definition{donorName: donor(configMap("stays")), heirName: heir(job("run", "")).withOwned(jobs, "Job")})
			if restarts {
				p = r.start(t)
			} else {
				p.reload(t)
			}
			r.await(t, things, "the note of the heir alone", func(o objects) bool {
				var ids []string
				for name := range o["p"].GetAnnotations() {
					if strings.HasPrefix(name, "done.") {
						ids = append(ids, name[strings.Index(name, "/")+1:])
					}
				}
				return slices.Equal(ids, []string{heirName})
			})
			p.handled(t, "p", donorName, heirName)
			for _, w := range r.writes(t, mark) {
				if w.resource == "jobs" {
					t.Errorf("the Job is run again: %v", w)
				}
			}
		})
	}
}
