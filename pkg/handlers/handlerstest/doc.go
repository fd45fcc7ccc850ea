// Package handlerstest tests plugins: Check runs every plugin through the life that the engine
// gives it, and Env, Object and Logs make what a test of one handler needs. Compose asks a composer
// about typed objects, and Child is one of the objects in its answer.
//
// It is not a fake API server. The clients of Env reach nothing; how a plugin behaves towards
// Kubernetes is tested against a real API server. It is imported by tests only.
//
//	handlerstest.Check(t, log.Plugin, handlerstest.Options{Configs: map[string]string{"defaults": `{}`}})
package handlerstest
