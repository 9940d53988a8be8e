//! The three aggregates as `cqrs_es` knows them.
//!
//! Everything a decision needs arrives in its command, so there are no services. Only a refusal
//! is an `Err`: a failed attempt is an event, because an `Err` would throw it away.

use cqrs_es::event_sink::EventSink;
use cqrs_es::{Aggregate, DomainEvent};

use crate::agreement::{Agreement, AgreementCommand, AgreementEvent, AgreementRefusal};
use crate::instance::{Instance, InstanceCommand, InstanceEvent, InstanceRefusal};
use crate::user::{User, UserCommand, UserEvent, UserRefusal};
use crate::versions::version_of;

macro_rules! aggregate {
    ($aggregate:ident, $type:literal, $command:ident, $event:ident, $refusal:ident) => {
        impl Aggregate for $aggregate {
            const TYPE: &'static str = $type;
            type Command = $command;
            type Event = $event;
            type Error = $refusal;
            type Services = ();

            async fn handle(
                &mut self,
                command: Self::Command,
                _: &Self::Services,
                sink: &EventSink<Self>,
            ) -> Result<(), Self::Error> {
                for event in self.decide(command)? {
                    sink.write(event, self).await;
                }
                Ok(())
            }

            fn apply(&mut self, event: Self::Event) {
                self.apply(&event);
            }
        }

        impl DomainEvent for $event {
            fn event_type(&self) -> String {
                self.name().to_owned()
            }

            fn event_version(&self) -> String {
                version_of(self.name()).to_string()
            }
        }
    };
}

aggregate!(User, "user", UserCommand, UserEvent, UserRefusal);
aggregate!(Agreement, "agreement", AgreementCommand, AgreementEvent, AgreementRefusal);
aggregate!(Instance, "instance", InstanceCommand, InstanceEvent, InstanceRefusal);
