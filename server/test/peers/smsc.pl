#!/usr/bin/perl
# Net::SMPP as an SMSC for one bind: prints its port, then each PDU that it reads, as lines of JSON. Each submit_sm gets a
# response with an id, and a receipt; after the first one, an MO is also delivered, as deliver_sm and as data_sm.
use strict;
use warnings;
use Net::SMPP;
use JSON::PP;

my $json = JSON::PP->new->canonical->latin1;
my %name = map { $_ => Net::SMPP::pdu_tab->{$_}{cmd} } keys %{ Net::SMPP::pdu_tab() };
$| = 1;

sub readable {
    my $value = shift;
    return [map { readable($_) } @$value] if ref $value;
    return $value =~ /^[\x20-\x7e]*$/ ? "$value" : 'hex:' . unpack('H*', $value);
}

my $listener = Net::SMPP->new_listen('127.0.0.1', port => 0, timeout => 10) or die "cannot listen: $!";
print $json->encode({ port => $listener->sockport }), "\n";
my $smpp = $listener->accept or die 'no client connected';
my $count = 0;

while (my $pdu = $smpp->read_pdu) {
    my $command = $name{ $pdu->{cmd} } // $pdu->{cmd};
    my %fields = map { $_ => readable($pdu->{$_}) } grep { !/^(?:data|known_pdu|\d+)$/ && defined $pdu->{$_} } keys %$pdu;
    print $json->encode({ %fields, cmd => $command }), "\n";
    my @seq = (seq => $pdu->{seq});
    if ($command eq 'bind_transceiver') { $smpp->bind_transceiver_resp(system_id => 'perl', @seq) }
    elsif ($command eq 'enquire_link') { $smpp->enquire_link_resp(@seq) }
    elsif ($command eq 'query_sm') {
        $smpp->query_sm_resp(message_id => $pdu->{message_id}, final_date => '260102153000000+', message_state => 2,
            error_code => 0, @seq);
    }
    elsif ($command eq 'submit_multi') {
        $smpp->submit_multi_resp(
            message_id        => 'P-multi',
            dest_addr_ton     => [1],
            dest_addr_npi     => [1],
            destination_addr  => ['12125550110'],
            error_status_code => [11],
            @seq,
        );
    }
    elsif ($command eq 'submit_sm') {
        my $id = 'P' . ++$count;
        $smpp->submit_sm_resp(message_id => $id, @seq);
        my @back = (source_addr => $pdu->{destination_addr}, destination_addr => $pdu->{source_addr}, async => 1);
        my $receipt = "id:$id sub:001 dlvrd:001 submit date:2601021530 done date:2601021531 stat:DELIVRD err:000 text:";
        $smpp->deliver_sm(@back, esm_class => 4, short_message => $receipt);
        $smpp->deliver_sm(@back, short_message => 'STOP') if $count == 1;
        $smpp->data_sm(@back, message_payload => 'START') if $count == 1;
    }
    elsif ($command eq 'unbind') {
        $smpp->unbind_resp(@seq);
        last;
    }
}
