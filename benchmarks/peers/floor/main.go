// The floor: a consumer in Go, by hand, for one schema and one table. It decodes each record into a struct, writes the
// row's JSON by hand, and commits accepted offsets in order. It has no dead letters, no retries and no checks.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/hamba/avro/v2"
	"github.com/klauspost/compress/gzip"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	bodyBytes         = 1_000_000
	singleObjectBytes = 10
	inFlight          = 4
	idle              = 500 * time.Millisecond
)

// body is a request, and the last record of each partition in it.
type body struct {
	rows bytes.Buffer
	last map[int32]*kgo.Record
}

func newBody() *body {
	return &body{last: map[int32]*kgo.Record{}}
}

func main() {
	text, err := os.ReadFile(os.Getenv("SCHEMA"))
	check(err)
	schema := avro.MustParse(string(text))
	client, err := kgo.NewClient(
		kgo.SeedBrokers(os.Getenv("BOOTSTRAP")),
		kgo.ConsumeTopics(os.Getenv("TOPIC")),
		kgo.ConsumerGroup(os.Getenv("GROUP")),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxBytes(16<<20),
		kgo.FetchMaxPartitionBytes(4<<20),
		kgo.DisableAutoCommit(),
	)
	check(err)
	send := startSenders(client)
	filling, row := newBody(), []byte{}
	for {
		ctx, cancel := context.WithTimeout(context.Background(), idle)
		fetches := client.PollFetches(ctx)
		cancel()
		fetches.EachRecord(func(record *kgo.Record) {
			var e event
			check(avro.Unmarshal(schema, record.Value[singleObjectBytes:], &e))
			row = appendRow(row[:0], &e)
			if filling.rows.Len()+len(row)+2 > bodyBytes {
				send(filling)
				filling = newBody()
			}
			if filling.rows.Len() == 0 {
				filling.rows.WriteByte('[')
			} else {
				filling.rows.WriteByte(',')
			}
			filling.rows.Write(row)
			filling.last[record.Partition] = record
		})
		if fetches.NumRecords() == 0 && filling.rows.Len() > 0 {
			send(filling)
			filling = newBody()
		}
	}
}

// startSenders returns a function that sends a body. Bodies are posted together, and committed in order.
func startSenders(client *kgo.Client) func(*body) {
	type post struct {
		body *body
		done chan struct{}
	}
	posts, committing := make(chan post), make(chan post, inFlight)
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = inFlight
	url := fmt.Sprintf("http://%s%s", os.Getenv("SINK"), os.Getenv("SINK_PATH"))
	for range inFlight {
		go func() {
			writer, err := gzip.NewWriterLevel(io.Discard, 1)
			check(err)
			for each := range posts {
				each.body.rows.WriteByte(']')
				var compressed bytes.Buffer
				writer.Reset(&compressed)
				_, err := writer.Write(each.body.rows.Bytes())
				check(err)
				check(writer.Close())
				deliver(url, &compressed)
				close(each.done)
			}
		}()
	}
	go func() {
		for each := range committing {
			<-each.done
			records := make([]*kgo.Record, 0, len(each.body.last))
			for _, record := range each.body.last {
				records = append(records, record)
			}
			check(client.CommitRecords(context.Background(), records...))
		}
	}()
	return func(b *body) {
		each := post{b, make(chan struct{})}
		committing <- each
		posts <- each
	}
}

func deliver(url string, compressed *bytes.Buffer) {
	request, err := http.NewRequest(http.MethodPost, url, compressed)
	check(err)
	request.Header.Set("Authorization", "Bearer token")
	request.Header.Set("Content-Encoding", "gzip")
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	check(err)
	_, err = io.Copy(io.Discard, response.Body)
	check(err)
	check(response.Body.Close())
	if response.StatusCode != http.StatusNoContent {
		log.Fatal(response.Status)
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func appendTime(out []byte, name string, ms int64) []byte {
	out = append(out, name...)
	out = append(out, '"')
	out = time.UnixMilli(ms).UTC().AppendFormat(out, "2006-01-02T15:04:05.000Z")
	return append(out, '"')
}

func appendInt(out []byte, name string, value int64) []byte {
	return strconv.AppendInt(append(out, name...), value, 10)
}
