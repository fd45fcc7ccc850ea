package compose_test

import (
	"testing"

	"kooperd.dev/kooperd/test/cluster"
)

// nothingRefused fails the test if the API server has refused a request of the installation.
func (r *rig) nothingRefused(t *testing.T) {
	t.Helper()
	user := "system:serviceaccount:" + r.leases + ":" + r.account
	cluster.CheckGrants(t, user, nil, false, func() []cluster.AuditEvent { return shared.AuditSince(t, r.begun, user) })
}

// TestRightsOfLeaving gives kooperd the rights that it prints, and lets parents leave the selectors
// and the condition, live and while it does not run, and then removes the definition.
func TestRightsOfLeaving(t *testing.T) {
	t.Parallel()
	r := newBoundRig(t)
	other := &rig{namespace: shared.Namespace(t)}
	d := r.selecting("selected", other.namespace)
	d.settings["onRemove"], d.settings["where"] = "delete", `object.spec.text != "off"`
	r.defineAll(t, map[string]definition{definitionName: d, "bystander": r.bystander()})
	r.grant(t, r.printed(t)...)
	p := r.start(t)
	for _, name := range []string{"p", "q", "off", "late", "removed"} {
		r.selected(t, name)
	}
	gone := func(name string) {
		t.Helper()
		r.await(t, things, "the finalizer of "+name+" to go", func(o objects) bool { return len(o[name].GetFinalizers()) == 0 })
		if here, there := r.list(t, configMaps), other.list(t, configMaps); here[name+"-a"] != nil || there[name+"-b"] != nil {
			t.Errorf("of %s there are children left", name)
		}
	}
	leave := func(name string) {
		t.Helper()
		r.patch(t, things, name, `{"metadata": {"labels": {"selected": null}}}`)
	}
	leave("p")
	gone("p")
	r.patch(t, things, "off", `{"spec": {"text": "off"}}`)
	gone("off")
	p.kill9(t)
	leave("late")
	p = r.start(t)
	gone("late")
	r.remove(t, things, "q")
	r.await(t, things, "the parent to go", func(o objects) bool { return o["q"] == nil })
	r.removed = []string{definitionName}
	r.defineAll(t, map[string]definition{"bystander": r.bystander()})
	p.reload(t)
	p.AwaitLog(t, "a definition does not handle these objects any more")
	gone("removed")
	r.nothingRefused(t)
}

// TestRightsOfOrder gives kooperd the rights that it prints for children that go in order.
func TestRightsOfOrder(t *testing.T) {
	t.Parallel()
	r := newBoundRig(t)
	first, second := configMap("first"), configMap("second")
	second.After = []string{"first"}
	d := definition{}
	d.Config.Children, d.Config.Ordered = append(d.Config.Children, first, second), true
	r.defineAll(t, map[string]definition{definitionName: d})
	r.grant(t, r.printed(t)...)
	p := r.start(t)
	r.thing(t, "p", "x")
	r.ready(t, "p")
	r.remove(t, things, "p")
	r.await(t, things, "the parent to go", func(o objects) bool { return o["p"] == nil })
	if all := r.list(t, configMaps); all["p-first"] != nil || all["p-second"] != nil {
		t.Errorf("there are %q", all.names())
	}
	p.Stop(t)
	r.nothingRefused(t)
}
