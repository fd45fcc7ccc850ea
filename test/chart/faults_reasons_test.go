package chart

import (
	"fmt"
	"os"
	"path/filepath"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/test/daemon"
)

// stubbornProgram runs a program that fails, and is tried again without end.
func stubbornProgram(s *scene) func() {
	handler, mend := s.program("MENDED")
	s.thing("one", nil)
	s.run(s.things("retry: {initialDelay: \"50ms\", maxDelay: \"1s\"}\n" + handler))
	return mend
}

// absentProgram names a program that is not there yet, so that there is no handler.
func absentProgram(s *scene) func() {
	path := filepath.Join(s.dir, "program")
	s.run(s.things(fmt.Sprintf("handler: exec: command: [%q]", path)))
	return func() {
		writeFile(s.T, path, "#!/bin/sh\n")
		if err := os.Chmod(path, 0o700); err != nil {
			s.Fatal(err)
		}
	}
}

// refusedSelector watches with a selector that the API server does not know for this kind.
func refusedSelector(s *scene) func() {
	p := s.run(fmt.Sprintf("things: {\nwatch: {apiVersion: \"v1\", kind: \"ConfigMap\", namespaces: [%q], fieldSelector: \"data.a=b\"}\n%s\n}\n",
		s.namespace, logged))
	return func() {
		s.write(s.things(logged))
		s.reload(p)
	}
}

// unavailableService runs a plugin that says that what all of its calls need is not there.
func unavailableService(s *scene) func() {
	s.thing("one", map[string]string{"unavailable": "yes"})
	s.start(daemon.Options{Binary: daemon.Build(s.T, "panicker"), Config: s.write(s.things("retry: maxDelay: \"1s\"\nhandler: panicker: {}"))})
	return func() {
		if err := shared.Client().CoreV1().ConfigMaps(s.namespace).Delete(s.Context(), "one", metav1.DeleteOptions{}); err != nil {
			s.Fatal(err)
		}
	}
}

// triggerErrors counts evaluations of where that have failed.
const triggerErrors = `kooperd_controller_trigger_errors_total{controller="things"}`

// whereThatAlwaysFails has a condition that cannot be evaluated for any object.
func whereThatAlwaysFails(s *scene) func() {
	s.thing("one", nil)
	p := s.run(s.things("where: \"object.data.a == 'b'\"\n" + logged))
	for range 3 { // One by one: changes that come at once may be one.
		before, _ := p.Metric(s.T, triggerErrors)
		if err := s.touch(s.Context(), "one"); err != nil {
			s.Fatal(err)
		}
		p.Await(s.T, "an evaluation that fails", func() bool {
			now, _ := p.Metric(s.T, triggerErrors)
			return now != before
		})
	}
	return func() {
		s.write(s.things("where: \"!has(object.data)\"\n" + logged))
		s.reload(p)
	}
}
