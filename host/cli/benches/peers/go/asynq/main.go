// Asynq on Redis.
package main

import (
	"context"
	"log"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"

	"pigeon/peers/peer"
)

const (
	// Asynq has no call that enqueues many tasks: so many callers at once share the fsyncs of Redis.
	callers = 64
	// Tasks that a worker works at, at once. More of them than cores, since each task waits for Redis twice.
	concurrency = 64

	// How often an idle worker looks for tasks. The default of a second would be most of a round.
	look = 10 * time.Millisecond

	kind = "validation"
)

func main() {
	redis, err := asynq.ParseRedisURI(os.Getenv("PEER_URL"))
	check(err)
	switch os.Args[1] {
	case "work":
		counter := peer.NewCounter()
		server := asynq.NewServer(redis, asynq.Config{
			Concurrency:       concurrency,
			LogLevel:          asynq.ErrorLevel,
			TaskCheckInterval: look,
		})
		check(server.Start(asynq.HandlerFunc(func(_ context.Context, task *asynq.Task) error {
			if err := peer.Validate(task.Payload()); err != nil {
				return err
			}
			return counter.Count()
		})))
		peer.Stopped()
		server.Shutdown()
	case "produce":
		client := asynq.NewClient(redis)
		defer client.Close()
		document := []byte(peer.Document())
		peer.Produce(os.Args[2], func(count int) { enqueue(client, document, int64(count)) })
	}
}

func enqueue(client *asynq.Client, document []byte, count int64) {
	var left atomic.Int64
	left.Store(count)
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				_, err := client.Enqueue(asynq.NewTask(kind, document))
				check(err)
			}
		})
	}
	group.Wait()
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
