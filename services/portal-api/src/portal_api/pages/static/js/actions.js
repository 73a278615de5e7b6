// What the buttons do.
import { api, path } from "./api.js";
import { bulk } from "./bulk.js";
import { confirm } from "./dialog.js";
import { editSequence, editStep } from "./editors.js";
import { enroll } from "./enroll.js";
import { pauseSequence, resumeSequence } from "./pausing.js";
import { loadRows, put, selected, state } from "./state.js";
import { toast } from "./toast.js";

const WAIT_SECONDS = 4;

export function actionsOf({ draw, select, refresh, back }) {
  const shown = (answer, said) => {
    put(answer);
    if (answer.steps) select(answer.id);
    toast(said);
    refresh();
  };
  const change = (body) => api(path("sequences", state.selected), { method: "PUT", body });
  const run = (id) => state.pages.people.items.find((each) => each.id === id);
  const changeRun = async (id, action, said) => {
    const answer = await api(path("sequences", state.selected, "enrollments", id), { method: "PUT", body: { action }, wait: WAIT_SECONDS });
    const before = run(id);
    if (answer.refused) toast(`Nothing was done: ${answer.refused.because}.`, true);
    else toast(answer.status === before?.status && answer.held_by === before?.held_by ? `${said} The sequencer has not answered yet.` : said);
    refresh();
  };
  return {
    select: ({ id }) => select(id, { focus: true }),
    back,
    tab: ({ tab }) => {
      state.tab = tab;
      draw();
      if (tab !== "steps") loadRows(tab).then(draw);
    },
    "more-rows": ({ tab }) => loadRows(tab, { more: true }).then(draw),
    "open-body": ({ id }) => {
      if (!state.open.delete(id)) state.open.add(id);
      draw();
    },
    "new-sequence": () => editSequence(null, shown),
    "edit-sequence": () => editSequence(selected(), shown),
    "new-step": () => editStep(null, shown),
    "edit-step": ({ id }) => editStep(selected().steps.find((each) => each.id === id), shown),
    "remove-step": ({ id }) => {
      const step = selected().steps.find((each) => each.id === id);
      confirm({
        title: `Remove step ${step.delay_label}?`, danger: true, submit: "Remove",
        text: "It is gone from the next version on. Who is enrolled already stays on theirs.",
        work: async () => shown(await api(path("sequences", state.selected, "steps", id), { method: "DELETE" }), "The step is removed."),
      });
    },
    enroll: () => enroll(selected(), (said, good) => {
      toast(said, !good);
      refresh();
    }, () => bulk(selected(), { action: "enroll", changed: refresh })),
    "bulk-migrate": () => bulk(selected(), { action: "migrate", changed: refresh }),
    "bulk-open": () => bulk(selected(), { job: state.jobs.items[0], changed: refresh }),
    activate: async () => shown(await change({ status: "active" }), "It is active: the next lead that fits will enter."),
    pause: () => pauseSequence(selected(), shown),
    resume: () => resumeSequence(selected(), shown),
    archive: () => confirm({
      title: `Archive ${selected().name}?`, danger: true, submit: "Archive",
      text: "Nobody new enters, and it leaves this list. What happened in it stays.",
      work: async () => {
        const { name, id } = selected();
        await api(path("sequences", id), { method: "DELETE" });
        state.sequences = state.sequences.filter((each) => each.id !== id);
        toast(`${name} is archived.`);
        back();
        refresh();
      },
    }),
    "pause-run": ({ id }) => changeRun(id, "pause", "Paused for this lead."),
    "resume-run": ({ id }) => changeRun(id, "resume", "Goes on for this lead."),
    unsubscribe: ({ id }) => confirm({
      title: `Unsubscribe ${run(id).lead.name}?`, danger: true, submit: "Unsubscribe",
      text: "This run ends, and the opt-out is recorded: no other sequence e-mails them either.",
      work: () => changeRun(id, "unsubscribe", "Unsubscribed."),
    }),
    resend: ({ id }) => {
      const message = state.pages.messages.items.find((each) => each.id === id);
      const unknown = message.state === "unknown";
      confirm({
        title: `Send again to ${message.lead.name}?`, submit: "Send again",
        text: unknown ? "The provider may have sent it already: it could arrive twice." : "It goes out once more, as a message of its own.",
        reason: { label: "Reason", required: unknown },
        work: async (reason) => {
          await api(path("sequences", state.selected, "messages", id, "resend"), { method: "POST", body: { reason } });
          toast("Asked to send it again.");
          refresh();
        },
      });
    },
  };
}
